-- Lists the ids of at most `limit` blocks, those that last longest first.
-- KEYS: index of blocks
-- ARGV: limit
local index_key, limit = KEYS[1], tonumber(ARGV[1])

return redis.call("ZREVRANGE", index_key, 0, limit - 1)
