-- Stores a value with a time to live (milliseconds). Returns 1.
-- KEYS: fact
-- ARGV: value, ttl
local key, value, ttl = KEYS[1], ARGV[1], ARGV[2]

redis.call("SET", key, value, "PX", ttl)
return 1
