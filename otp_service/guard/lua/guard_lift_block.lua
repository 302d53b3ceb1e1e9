-- Removes a block and what was counted under the same mark. Returns 1 if there was one, else 0. A repetition with the
-- same operation within `remember` ms returns the same.
-- KEYS: index of blocks, counter, operation
-- ARGV: id, mark, remember
local index_key, key, operation_key = KEYS[1], KEYS[2], KEYS[3]
local id, mark, remember = ARGV[1], ARGV[2], ARGV[3]

local found = redis.call("HEXISTS", key, mark .. "block") == 1 -- the index may have had no room for the block
for _, field in ipairs(redis.call("HKEYS", key)) do
  if string.sub(field, 1, #mark) == mark then
    redis.call("HDEL", key, field)
  end
end
redis.call("ZREM", index_key, id)
if found then
  redis.call("SET", operation_key, 1, "PX", remember)
end
return redis.call("EXISTS", operation_key)
