-- Takes one of `most` places within any `window` milliseconds, once per operation id.
-- Returns 0, or the milliseconds until a place is free.
-- KEYS: log of what was taken
-- ARGV: operation, most, window
-- include: now
local log_key = KEYS[1]
local operation, most, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

redis.call("ZREMRANGEBYSCORE", log_key, "-inf", now - window)
if redis.call("ZSCORE", log_key, operation) then
  return 0
end
if redis.call("ZCARD", log_key) >= most then
  return redis.call("ZRANGE", log_key, 0, 0, "WITHSCORES")[2] + window - now
end
redis.call("ZADD", log_key, now, operation)
redis.call("PEXPIRE", log_key, window)
return 0
