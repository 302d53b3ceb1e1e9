-- Takes a receipt in: what is known of a message that left by the account `account`. It is found by the upstream's id,
-- else by our reference; another account knows nothing of it.
-- `status` counts for a delivery that is one of `overruled`, so that late, repeated and reordered receipts change
-- nothing. A failure of the newest delivery (`failed` is "1") is looked at at once; so is what its app is to be told,
-- unless a worker has the newest delivery, or waits to send it; and so is what a worker is just deciding about, whose
-- lease is over then. Never ends a challenge.
-- Returns {"changed", now, challenge, place}, {"known", now} or {"none", now}.
-- KEYS: due, challenge
-- ARGV: id, upstream id, reference, status, overruled, reason, failed, wake, partition, account
-- include: now
local due_key, challenge_key = KEYS[1], KEYS[2]
local id, upstream_id, reference = ARGV[1], ARGV[2], ARGV[3]
local status, overruled, reason, failed = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local wake, partition, account = ARGV[8], ARGV[9], ARGV[10]

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge then
  return {"none", now}
end
local deliveries = challenge.deliveries
local place
for at, delivery in ipairs(deliveries) do
  local carrier = delivery.up or challenge.steps[delivery.step + 1][2] -- none is named where the step has one
  if carrier == account then
    if upstream_id ~= "" and delivery.uid == upstream_id then
      place = at
      break
    end
    if reference ~= "" and delivery.ref == reference then
      place = at
    end
  end
end
if not place then
  return {"none", now}
end
local mine = deliveries[place]
if not string.find(overruled, "," .. mine.status .. ",", 1, true) then
  return {"known", now}
end
mine.status = status
mine.reason = reason ~= "" and reason or nil
local moves = failed == "1" and place == #deliveries and not challenge.state and now < challenge.expires
local under_way = {queued = true, claimed = true, sending = true}
local rests = challenge.state or not under_way[deliveries[#deliveries].status]
local held = challenge.lease and rests
if held then
  challenge.lease = nil -- whoever holds it decides about what is no longer so
end
stored = cjson.encode(challenge)
redis.call("SET", challenge_key, stored, "KEEPTTL")
if moves or held or challenge.watched and rests then
  redis.call("ZADD", due_key, now, id)
  if redis.call("PTTL", due_key) < 0 then -- the partition had nothing scheduled any more
    redis.call("PEXPIRE", due_key, 2 * redis.call("PTTL", challenge_key))
  end
  redis.call("PUBLISH", wake, partition)
end
return {"changed", now, stored, place - 1}
