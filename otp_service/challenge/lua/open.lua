-- Opens a challenge and schedules its first delivery: both or neither.
-- Asked again with the same id (a lost reply), it changes nothing. Times are milliseconds.
-- Returns {"opened", now, challenge} or {"known", now, idempotency record}.
local challenge_key, due_key, idempotency_key = KEYS[1], KEYS[2], KEYS[3]
local offset, id, record, ttl, keep = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local fingerprint, idempotency_ttl, wake, partition = ARGV[6], ARGV[7], ARGV[8], ARGV[9]

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000) + offset

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
redis.call("SET", challenge_key, stored, "PX", ttl + keep)
redis.call("ZADD", due_key, now, id)
redis.call("PEXPIRE", due_key, 2 * (ttl + keep))
redis.call("PUBLISH", wake, partition)
return {"opened", now, stored}
