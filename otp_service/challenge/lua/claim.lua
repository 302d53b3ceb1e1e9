-- Leases a challenge that is due to one worker, and says what to do: "send" (send the newest delivery), "waited" (decide
-- what follows), "over" (the challenge has ended: tell its app). Ends a challenge that has expired ("ended"). If the
-- newest delivery is "sending", its worker died: its outcome is unknown. The operation id identifies the lease.
-- Returns {what, now, challenge} or {"none", now}.
-- KEYS: due, challenge
-- ARGV: id, operation, lease, wake, partition
-- include: now
-- include: end_deliveries
local due_key, challenge_key = KEYS[1], KEYS[2]
local id, operation, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local wake, partition = ARGV[4], ARGV[5]

local deadline = redis.call("ZSCORE", due_key, id)
if not deadline then
  return {"none", now}
end
local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge or (challenge.state and not challenge.watched) then
  redis.call("ZREM", due_key, id)
  return {"none", now}
end
local last = challenge.deliveries[#challenge.deliveries]
if tonumber(deadline) > now then
  if challenge.lease == operation then -- repeated after a lost reply
    return {challenge.state and "over" or last.status == "claimed" and "send" or "waited", now, stored}
  end
  return {"none", now}
end

local what
local arrived = {accepted = true, unknown = true, sent = true, delivered = true, read = true}
local exhausted = #(challenge.attempts or {}) >= challenge.guesses
if challenge.state then
  challenge.lease = operation
  redis.call("ZADD", due_key, now + lease, id)
  what = "over"
elseif exhausted and now < challenge.expires then
  -- nothing more is sent, but the last guess may still be being checked: the end waits for the expiry
  if last.status == "sending" then
    last.status = "unknown" -- its worker died
    redis.call("SET", challenge_key, cjson.encode(challenge), "KEEPTTL")
  end
  redis.call("ZADD", due_key, challenge.expires, id)
  return {"none", now}
elseif now >= challenge.expires then
  end_deliveries(challenge)
  local sent = false
  for _, delivery in ipairs(challenge.deliveries) do
    sent = sent or arrived[delivery.status]
  end
  challenge.state = exhausted and "exhausted" or sent and "expired" or "undeliverable"
  if challenge.watched then
    redis.call("ZADD", due_key, now, id)
    redis.call("PUBLISH", wake, partition)
  else
    redis.call("ZREM", due_key, id)
  end
  what = "ended"
else
  if last.status == "queued" or last.status == "claimed" then
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
