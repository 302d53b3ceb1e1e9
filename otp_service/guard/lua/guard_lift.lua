-- Forgets a block, and what was counted under the same mark. Returns 1 if there was one, also when it is asked again
-- within `remember` ms for the same operation, as its reply was lost; else 0.
-- KEYS: index of blocks, counter, operation
-- ARGV: id, mark, remember
local index_key, key, operation_key = KEYS[1], KEYS[2], KEYS[3]
local id, mark, remember = ARGV[1], ARGV[2], ARGV[3]

local found = redis.call("HEXISTS", key, mark .. "block") == 1 -- the index may have had no room for it
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
