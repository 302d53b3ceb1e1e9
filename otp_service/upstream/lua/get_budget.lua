-- Takes one of `limit` requests in any `window` milliseconds, once per operation id. Returns 1, or 0 if none is left.
-- KEYS: log of requests
-- ARGV: operation, limit, window
-- include: now
local log_key = KEYS[1]
local operation, limit, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

redis.call("ZREMRANGEBYSCORE", log_key, "-inf", now - window)
if redis.call("ZSCORE", log_key, operation) then
  return 1
end
if redis.call("ZCARD", log_key) >= limit then
  return 0
end
redis.call("ZADD", log_key, now, operation)
redis.call("PEXPIRE", log_key, window)
return 1
