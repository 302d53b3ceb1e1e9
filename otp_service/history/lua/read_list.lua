-- Reads ids from the list of an hour, by their places. Returns them.
-- KEYS: list
-- ARGV: first, last
local list_key, first, last = KEYS[1], ARGV[1], ARGV[2]

return redis.call("LRANGE", list_key, first, last)
