-- Lists what is due now, and says when the next open one will be (milliseconds). What is open goes before what is new.
-- Endings are left out: `list_ended` lists them.
-- Returns {now, next deadline or false, id, due since, ...}.
-- KEYS: due
-- ARGV: limit
-- include: now
-- include: bands
local due_key = KEYS[1]
local limit = tonumber(ARGV[1])

local function range(from, to, count)
  return redis.call("ZRANGEBYSCORE", due_key, from, to, "WITHSCORES", "LIMIT", 0, count)
end

local answer = {now, range("(" .. now, "(" .. BAND, 1)[2] or false}
local function add(found, shift)
  for at = 1, #found, 2 do
    answer[#answer + 1] = found[at]
    answer[#answer + 1] = found[at + 1] + shift
    limit = limit - 1
  end
end
add(range(0, now, limit), 0)
if limit > 0 then
  add(range("-inf", now - BAND, limit), BAND)
end
return answer
