-- Stores what an account reports of a message that it sent. The message is found by the upstream's id, else by our
-- reference. Reports of other accounts are ignored. The operation id identifies this call: what it changed is kept in
-- `heard` for longer than a call is repeated, so that a repeated one is answered like the first.
-- `receipt` is a JSON object: `account`, `upstream_id` and `reference` (either may be ""), `status`, `overruled` (the
-- statuses that `status` overrules, so that late, repeated and reordered receipts change nothing), `reason`, and
-- `failed` and `arrived` (whether `status` is a failure, or says that the message reached the person).
-- The challenge is due at once if the newest delivery failed, if its app has to be told (unless the newest delivery is
-- still to be sent or being sent), or if a worker is deciding what follows; that worker loses its lease. A receipt never
-- ends a challenge.
-- Returns {"changed", now, challenge, place, status before, whether no message of the challenge had arrived before},
-- {"known", now} or {"none", now}.
-- KEYS: due, challenge
-- ARGV: id, operation, receipt, wake
-- include: now
local due_key, challenge_key = KEYS[1], KEYS[2]
local id, operation, receipt, wake = ARGV[1], ARGV[2], cjson.decode(ARGV[3]), ARGV[4]
local account, upstream_id, reference = receipt.account, receipt.upstream_id, receipt.reference
local overruled, reason = receipt.overruled, receipt.reason
local repeated_for = 10000 -- milliseconds

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge then
  return {"none", now}
end
local heard = {}
for _, one in ipairs(challenge.heard or {}) do
  local act, at, found, was, is_first = unpack(one)
  if act == operation then
    return {"changed", at, stored, found, was, is_first}
  end
  if now - at < repeated_for then
    heard[#heard + 1] = one
  end
end
local deliveries = challenge.deliveries
local place
for at, delivery in ipairs(deliveries) do
  local carrier = delivery.up or challenge.steps[delivery.step + 1][2] -- not stored if the step has only one
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
local before = mine.status
mine.status = receipt.status
mine.reason = reason ~= "" and reason or nil
local first = receipt.arrived and not challenge.arrived
challenge.arrived = challenge.arrived or receipt.arrived or nil
heard[#heard + 1] = {operation, now, place - 1, before, first and 1 or 0}
challenge.heard = heard
local moves = receipt.failed and place == #deliveries and not challenge.state and now < challenge.expires
local under_way = {queued = true, claimed = true, sending = true}
local rests = challenge.state or not under_way[deliveries[#deliveries].status]
local held = challenge.lease and rests
if held then
  challenge.lease = nil -- its holder would decide on an outdated state
end
stored = cjson.encode(challenge)
redis.call("SET", challenge_key, stored, "KEEPTTL")
if moves or held or challenge.watched and rests then
  redis.call("ZADD", due_key, now, id)
  if redis.call("PTTL", due_key) < 0 then -- nothing else was scheduled in the partition
    redis.call("PEXPIRE", due_key, 2 * redis.call("PTTL", challenge_key))
  end
  redis.call("PUBLISH", wake, id)
end
return {"changed", now, stored, place - 1, before, first and 1 or 0}
