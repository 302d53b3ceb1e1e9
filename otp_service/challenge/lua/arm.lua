-- Marks a claimed delivery as leaving, with its code's hash, its reference, step, account and the channels left to it,
-- just before the request goes out (no account is named where the step has one, no channels where it has all); its
-- step's wait (milliseconds) begins. From here on a lost worker means an unknown outcome. Only the newest `live` codes
-- of a challenge stay.
-- Returns {"armed", now} or {"lost", now} when the lease, the challenge or the delivery is no longer ours.
-- KEYS: due, challenge
-- ARGV: id, operation, reference, code hash, lease, live, upstream, wait, step, only
-- include: now
local due_key, challenge_key = KEYS[1], KEYS[2]
local id, operation, reference = ARGV[1], ARGV[2], ARGV[3]
local code_hash, lease, live = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local upstream, wait, step, only = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge or challenge.state or challenge.lease ~= operation or now >= challenge.expires then
  return {"lost", now}
end
local deliveries = challenge.deliveries
local last = deliveries[#deliveries]
if last.status == "sending" and last.ref == reference then
  return {"armed", now}
end
if last.status ~= "claimed" then
  return {"lost", now}
end
if last.step ~= step then -- the one it was made for could not be taken
  last.step = step
  last.tried = nil
  last.deferrals = nil
end
last.only = only ~= "" and only or nil
last.status = "sending"
last.ref = reference
last.hash = code_hash
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
