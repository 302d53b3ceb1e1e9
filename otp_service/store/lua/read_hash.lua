-- Reads all fields of a hash. Returns {field, value, ...}.
-- KEYS: hash
-- ARGV: none
local hash_key = KEYS[1]

return redis.call("HGETALL", hash_key)
