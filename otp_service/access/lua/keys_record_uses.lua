-- Records when keys were last used. A later time stays, and keys that are gone are skipped.
-- Returns how many were recorded.
-- KEYS: ring
-- ARGV: id, time, ...
local ring = KEYS[1]

local recorded = 0
for at = 1, #ARGV, 2 do
  local id, used = ARGV[at], tonumber(ARGV[at + 1])
  if redis.call("HEXISTS", ring, "k:" .. id) == 1 then
    local before = tonumber(redis.call("HGET", ring, "u:" .. id) or 0)
    redis.call("HSET", ring, "u:" .. id, math.max(before, used))
    recorded = recorded + 1
  end
end
return recorded
