-- Stores since when numbers may have new owners, and deletes what was kept of them. Returns how many numbers there were.
-- After the numbers come other keys to delete; after the blocks, pins to remove.
-- KEYS: index of blocks, pins, number, ...
-- ARGV: numbers, at, ttl, blocks, block, ...
local index_key, pins_key = KEYS[1], KEYS[2]
local numbers, at, ttl, blocks = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])

redis.call("ZREM", index_key, unpack(ARGV, 5, 4 + blocks))
redis.call("HDEL", pins_key, unpack(ARGV, 5 + blocks))
redis.call("DEL", unpack(KEYS, 3))
for place = 3, 2 + numbers do
  redis.call("SET", KEYS[place], at, "PX", ttl)
end
return numbers
