-- Reads the whole ring, unless its head is still `known`. Removes keys that ended more than `keep` milliseconds ago.
-- Returns {now, head}, followed after a change by each field and its value: "k:ID" is a record, "u:ID" is its last use.
-- KEYS: ring
-- ARGV: known, keep
-- include: now
local ring = KEYS[1]
local known, keep = tonumber(ARGV[1]), tonumber(ARGV[2])

local head = tonumber(redis.call("HGET", ring, "head") or 0)
local answer = {now, head}
if head == known then
  return answer
end
local all = redis.call("HGETALL", ring)
for at = 1, #all, 2 do
  if string.sub(all[at], 1, 2) == "k:" then
    local key = cjson.decode(all[at + 1])
    if key.expires and key.expires + keep <= now then
      redis.call("HDEL", ring, "k:" .. key.id, "u:" .. key.id)
    else
      answer[#answer + 1] = all[at]
      answer[#answer + 1] = all[at + 1]
    end
  elseif string.sub(all[at], 1, 2) == "u:" then
    answer[#answer + 1] = all[at]
    answer[#answer + 1] = all[at + 1]
  end
end
return answer
