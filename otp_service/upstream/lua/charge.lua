-- Spends one of so many acts in any `window` milliseconds. Once per operation id. Returns 1 if there was one left.
local log_key = KEYS[1]
local offset, operation, limit, window = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000) + offset

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
