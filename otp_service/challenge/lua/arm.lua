-- Marks a claimed delivery as being sent, just before the request is sent. From now on, the outcome is unknown if the
-- worker is lost. The wait of the delivery's step begins.
-- `sending` is a JSON object: `reference` of the message, `hash` of its code, `step`, `upstream` ("" if the step has only
-- one), `only` (the channels that are allowed, "" for all), `wait` and `lease` (milliseconds), and `live`: the number
-- of codes that are accepted, so that the hashes of older codes are removed. With less than `least` milliseconds of use left
-- the delivery is dropped.
-- Returns {"armed", now}, or {"lost", now} if the worker no longer holds the lease or the delivery is not claimed.
-- KEYS: due, challenge
-- ARGV: id, operation, sending
-- include: now
-- include: bands
-- include: end_deliveries
-- include: drop_late
local due_key, challenge_key = KEYS[1], KEYS[2]
local id, operation, sending = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local reference, step, upstream, only = sending.reference, sending.step, sending.upstream, sending.only
local wait, lease, live = sending.wait, sending.lease, sending.live

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge or challenge.lease ~= operation then
  return {"lost", now}
end
local deliveries = challenge.deliveries
local last = deliveries[#deliveries]
if last.status == "sending" and last.ref == reference and now < challenge.expires then
  return {"armed", now}
end
if last.status ~= "claimed" then -- as after the end of the challenge
  return {"lost", now}
end
if now > challenge.expires - sending.least then
  drop_late(challenge, challenge_key, due_key, id, true)
  return {"lost", now}
end
if last.step ~= step then -- its own step could not be taken
  last.step = step
  last.tried = nil
  last.deferrals = nil
end
last.only = only ~= "" and only or nil
last.status = "sending"
last.ref = reference
last.hash = sending.hash
last.up = upstream ~= "" and upstream or nil
last.ends = now + wait
for place = #deliveries, 1, -1 do
  if deliveries[place].hash then
    live = live - 1
    if live < 0 then deliveries[place].hash = nil end
  end
end
redis.call("SET", challenge_key, cjson.encode(challenge), "KEEPTTL")
redis.call("ZADD", due_key, now + lease, id)
return {"armed", now}
