-- Adds a delivery to a pending challenge and schedules it, once for each operation id.
-- Returns {"queued", now, challenge}, {"early", now, milliseconds left}, {"spent", now} or {"gone", now}.
-- KEYS: due, challenge
-- ARGV: app, id, delivery, wake
-- include: now
local due_key, challenge_key = KEYS[1], KEYS[2]
local app, id, delivery = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local wake = ARGV[4]

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge or challenge.app ~= app or challenge.state or now >= challenge.expires then
  return {"gone", now}
end
if challenge.owed then -- the delivery before was dropped, as this one would be
  return {"gone", now}
end
if #(challenge.attempts or {}) >= challenge.guesses then
  return {"gone", now}
end
local deliveries = challenge.deliveries
for _, known in ipairs(deliveries) do
  if known.op == delivery.op then
    return {"queued", now, stored}
  end
end
if #deliveries >= challenge.sends then
  return {"spent", now}
end
local last = deliveries[#deliveries]
local cooldown = challenge.cooldown[math.min(#deliveries, #challenge.cooldown)] * 1000
if now < last.at + cooldown then
  return {"early", now, last.at + cooldown - now}
end
if last.status == "queued" or last.status == "claimed" then
  last.status = "superseded" -- it was not sent; sending both would send two messages at once
end
delivery.at = now
deliveries[#deliveries + 1] = delivery
challenge.lease = nil -- its holder would decide on a delivery that is no longer the newest
stored = cjson.encode(challenge)
redis.call("SET", challenge_key, stored, "KEEPTTL")
if not challenge.review then -- a review number gets nothing: its challenge waits for its end
  redis.call("ZADD", due_key, now, id)
  redis.call("PUBLISH", wake, id)
end
return {"queued", now, stored}
