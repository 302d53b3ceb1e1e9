-- Reads acts, the newest first, with their moments. Returns {act, moment, ...}.
-- KEYS: acts
-- ARGV: before, limit
local acts_key, before, limit = KEYS[1], ARGV[1], tonumber(ARGV[2])

return redis.call("ZREVRANGEBYSCORE", acts_key, before, "-inf", "WITHSCORES", "LIMIT", 0, limit)
