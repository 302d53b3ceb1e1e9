-- Puts a new version of the policy in force, if `expected` is the version in force ("": whatever it is).
-- Keeps the newest `kept` versions. A text that is in force already makes no version. A repetition with the same
-- operation returns the same.
-- Returns {"applied", version}, {"unchanged", version in force} or {"conflict", version in force}.
-- KEYS: policy
-- ARGV: operation, expected, record, kept
-- include: now
local key = KEYS[1]
local operation, expected, record = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local kept = tonumber(ARGV[4])

local head = tonumber(redis.call("HGET", key, "head") or 0)
if head > 0 and redis.call("HGET", key, "op") == operation then
  return {"applied", head}
end
if expected ~= "" and tonumber(expected) ~= head then
  return {"conflict", head}
end
local current = redis.call("HGET", key, "v" .. head)
if current and cjson.decode(current).text == record.text then
  return {"unchanged", head}
end
record.at = now
record.version = head + 1
redis.call("HSET", key, "head", head + 1, "op", operation, "v" .. (head + 1), cjson.encode(record))
redis.call("HDEL", key, "v" .. (head + 1 - kept))
return {"applied", head + 1}
