-- Counts a try to sign in, and says whether it may be made: there may be `most` within `window` milliseconds.
-- KEYS: tries
-- ARGV: operation, most, window
-- include: now
local tries_key, operation, most, window = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

redis.call("ZREMRANGEBYSCORE", tries_key, "-inf", now - window)
if redis.call("ZSCORE", tries_key, operation) then
  return 1
end
if redis.call("ZCARD", tries_key) >= most then
  return 0
end
redis.call("ZADD", tries_key, now, operation)
redis.call("PEXPIRE", tries_key, window)
return 1
