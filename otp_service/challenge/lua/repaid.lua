-- Records that the charge of a delivery that was dropped has been given back, and schedules what is left to do. Only the holder
-- of the lease can do this.
-- Returns {"repaid", now} or {"lost", now}.
-- KEYS: due, challenge
-- ARGV: id, operation
-- include: now
-- include: bands
local due_key, challenge_key = KEYS[1], KEYS[2]
local id, operation = ARGV[1], ARGV[2]

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge or challenge.lease ~= operation or not challenge.owed then
  return {"lost", now}
end
challenge.owed = nil
challenge.lease = nil
redis.call("SET", challenge_key, cjson.encode(challenge), "KEEPTTL")
if challenge.state and challenge.watched then
  redis.call("ZADD", due_key, now + BAND, id)
elseif challenge.state then
  redis.call("ZREM", due_key, id)
else
  redis.call("ZADD", due_key, challenge.expires + BAND, id)
end
return {"repaid", now}
