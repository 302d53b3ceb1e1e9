-- Forgets a block, and what was counted under the same mark. Returns 1 if there was one.
local index_key, key, id, mark = KEYS[1], KEYS[2], ARGV[1], ARGV[2]

for _, field in ipairs(redis.call("HKEYS", key)) do
  if string.sub(field, 1, #mark) == mark then
    redis.call("HDEL", key, field)
  end
end
return redis.call("ZREM", index_key, id)
