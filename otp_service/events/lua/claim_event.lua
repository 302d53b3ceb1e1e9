-- Leases an event that is due to one worker, identified by its operation id, and counts the try.
-- Returns {tries before, record} or {0, false}.
-- KEYS: queue, event
-- ARGV: id, lease, operation
-- include: now
local queue_key, event_key = KEYS[1], KEYS[2]
local id, lease, operation = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local deadline = redis.call("ZSCORE", queue_key, id)
if not deadline then
  return {0, false}
end
local stored = redis.call("GET", event_key)
if not stored then
  redis.call("ZREM", queue_key, id)
  return {0, false}
end
local event = cjson.decode(stored)
local tries = event.tries or 0
if tonumber(deadline) > now then
  if event.op == operation then -- asked again after a lost reply
    return {tries - 1, stored}
  end
  return {0, false}
end
event.tries = tries + 1
event.op = operation
redis.call("SET", event_key, cjson.encode(event), "KEEPTTL")
redis.call("ZADD", queue_key, now + lease, id)
return {tries, stored}
