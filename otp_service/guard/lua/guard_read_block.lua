-- Reads a block. Returns its record, or false.
-- KEYS: counter
-- ARGV: field
local key, field = KEYS[1], ARGV[1]

return redis.call("HGET", key, field)
