-- Ends a pending challenge as verified or cancelled, and with it its deliveries and codes. Only one caller ends it; the
-- operation id identifies that caller.
-- Returns {"done", now, challenge} or {"gone", now}.
-- KEYS: due, challenge
-- ARGV: app, id, operation, state, via, wake, partition
-- include: now
-- include: end_deliveries
local due_key, challenge_key = KEYS[1], KEYS[2]
local app, id, operation, state, via = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local wake, partition = ARGV[6], ARGV[7]

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge or challenge.app ~= app then
  return {"gone", now}
end
if challenge.state == state and challenge.op == operation then
  return {"done", now, stored}
end
if challenge.state or now >= challenge.expires then
  return {"gone", now}
end
if state == "cancelled" and #(challenge.attempts or {}) >= challenge.guesses then
  return {"gone", now} -- exhausted, but the last guess may still be being checked
end
challenge.state = state
challenge.op = operation
challenge.via = tonumber(via)
end_deliveries(challenge)
stored = cjson.encode(challenge)
redis.call("SET", challenge_key, stored, "KEEPTTL")
if challenge.watched then
  redis.call("ZADD", due_key, now, id) -- its app has to be told
  redis.call("PUBLISH", wake, partition)
else
  redis.call("ZREM", due_key, id)
end
return {"done", now, stored}
