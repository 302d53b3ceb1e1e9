-- Opens a challenge and schedules its first delivery: both or neither. A repeated call with the same id changes
-- nothing. That of a review number has nothing to send, so only its end is scheduled. All times are milliseconds.
-- Returns {"opened", now, challenge} or {"known", now, idempotency record}.
-- KEYS: due, challenge, idempotency (optional)
-- ARGV: id, record, ttl, retention, fingerprint, idempotency ttl, wake
-- include: now
-- include: bands
local due_key, challenge_key, idempotency_key = KEYS[1], KEYS[2], KEYS[3]
local id, record, ttl, retention = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local fingerprint, idempotency_ttl, wake = ARGV[5], ARGV[6], ARGV[7]

local stored = redis.call("GET", challenge_key)
if stored then
  return {"opened", now, stored}
end
if idempotency_key then
  local known = redis.call("GET", idempotency_key)
  if known then
    return {"known", now, known}
  end
  redis.call("SET", idempotency_key, id .. fingerprint, "PX", idempotency_ttl)
end

local challenge = cjson.decode(record)
challenge.expires = now + ttl
challenge.deliveries[1].at = now
stored = cjson.encode(challenge)
redis.call("SET", challenge_key, stored, "PX", ttl + retention)
redis.call("ZADD", due_key, challenge.review and challenge.expires + BAND or now - BAND, id)
redis.call("PEXPIRE", due_key, 2 * (ttl + retention))
if not challenge.review then
  redis.call("PUBLISH", wake, id)
end
return {"opened", now, stored}
