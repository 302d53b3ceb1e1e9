-- Takes back that a delivery is being sent: it was armed before it was known that its account may not be used, so its
-- message did not leave. The holder of the lease goes on with it as just claimed.
-- Returns {"claimed", now} or {"lost", now}.
-- KEYS: due, challenge
-- ARGV: id, operation, reference, lease
-- include: now
local due_key, challenge_key = KEYS[1], KEYS[2]
local id, operation, reference, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge or challenge.lease ~= operation then
  return {"lost", now}
end
local last = challenge.deliveries[#challenge.deliveries]
if last.status == "claimed" then -- repeated after a lost reply
  return {"claimed", now}
end
if last.status ~= "sending" or last.ref ~= reference then
  return {"lost", now}
end
last.status = "claimed"
last.ref, last.hash, last.up, last.ends = nil, nil, nil, nil
redis.call("SET", challenge_key, cjson.encode(challenge), "KEEPTTL")
redis.call("ZADD", due_key, now + lease, id)
return {"claimed", now}
