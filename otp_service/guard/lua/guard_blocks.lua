-- Lists the ids of blocks, those that last longest first, at most `limit`.
-- KEYS: index of blocks
-- ARGV: limit
local index_key, limit = KEYS[1], tonumber(ARGV[1])

return redis.call("ZREVRANGE", index_key, 0, limit - 1)
