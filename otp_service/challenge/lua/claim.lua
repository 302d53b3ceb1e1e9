-- Leases a challenge that is due to one worker, and says what to do: "send" (send the newest delivery), "waited" (decide
-- what follows), "over" (the challenge has ended: tell its app), "owed" (a charge is to be given back). Ends a challenge that has expired ("ended"). If the
-- newest delivery is "sending", its worker died: its outcome is unknown. One with less than `least` milliseconds of use left
-- is dropped. The operation id identifies the lease.
-- Returns {what, now, challenge} or {"none", now}.
-- KEYS: due, challenge
-- ARGV: id, operation, lease, least
-- include: now
-- include: bands
-- include: end_deliveries
-- include: expire
-- include: drop_late
local due_key, challenge_key = KEYS[1], KEYS[2]
local id, operation, lease, least = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if challenge and challenge.state and challenge.op == operation then -- ended by this call, whose reply was lost
  return {"ended", now, stored}
end
local found = redis.call("ZSCORE", due_key, id)
if not found then
  return {"none", now}
end
local score = tonumber(found)
local band = score >= BAND and BAND or 0 -- what is new is due
if not challenge or (challenge.state and not challenge.watched and not challenge.owed) then
  redis.call("ZREM", due_key, id)
  return {"none", now}
end
local last = challenge.deliveries[#challenge.deliveries]
if score - band > now then
  if challenge.lease == operation then -- repeated after a lost reply
    return {challenge.owed and "owed" or challenge.state and "over" or last.status == "claimed" and "send" or "waited", now, stored}
  end
  return {"none", now}
end

local what
local exhausted = #(challenge.attempts or {}) >= challenge.guesses
local not_left = last.status == "queued" or last.status == "claimed"
if challenge.owed or challenge.state then
  challenge.lease = operation
  redis.call("ZADD", due_key, now + lease + band, id)
  what = challenge.owed and "owed" or "over"
elseif exhausted and now < challenge.expires then
  -- nothing more is sent, but the last guess may still be being checked: the end waits for the expiry
  if last.status == "sending" then
    last.status = "unknown" -- its worker died
    redis.call("SET", challenge_key, cjson.encode(challenge), "KEEPTTL")
  end
  redis.call("ZADD", due_key, challenge.expires + BAND, id)
  return {"none", now}
elseif not_left and now > challenge.expires - least then
  local before = challenge.deliveries[#challenge.deliveries - 1]
  local replaces = before and before.status == "refused"
  local is_charged = not last.automatic or last.tried or last.deferrals or replaces
  drop_late(challenge, challenge_key, due_key, id, is_charged, operation)
  if is_charged or not challenge.state then
    return {"none", now}
  end
  return {"ended", now, redis.call("GET", challenge_key)}
elseif now >= challenge.expires then
  expire(challenge, challenge_key, due_key, id, operation)
  return {"ended", now, redis.call("GET", challenge_key)}
else
  if not_left then
    last.status = "claimed"
    what = "send"
  else
    if last.status == "sending" then
      last.status = "unknown"
      last.reason = "worker_lost"
    end
    what = "waited"
  end
  challenge.lease = operation
  redis.call("ZADD", due_key, now + lease, id)
end
stored = cjson.encode(challenge)
redis.call("SET", challenge_key, stored, "KEEPTTL")
return {what, now, stored}
