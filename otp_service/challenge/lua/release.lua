-- Hands back a claimed delivery that was not sent; it is due at once, a first message in its old place. Only the holder of the lease can do this.
-- Returns {"released", now} or {"lost", now}.
-- KEYS: due, challenge
-- ARGV: id, operation, wake
-- include: now
-- include: bands
local due_key, challenge_key = KEYS[1], KEYS[2]
local id, operation, wake = ARGV[1], ARGV[2], ARGV[3]

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
local last = challenge and challenge.deliveries[#challenge.deliveries]
if not challenge or challenge.lease ~= operation or last.status ~= "claimed" then
  return {"lost", now}
end
last.status = "queued"
challenge.lease = nil
redis.call("SET", challenge_key, cjson.encode(challenge), "KEEPTTL")
local is_first = #challenge.deliveries == 1 and not last.tried and not last.deferrals
redis.call("ZADD", due_key, is_first and last.at - BAND or now, id)
redis.call("PUBLISH", wake, id)
return {"released", now}
