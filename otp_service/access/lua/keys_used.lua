-- Notes when keys were used last; a later time stays, and a key that is gone is left out.
-- Returns how many were noted.
-- KEYS: ring
-- ARGV: id, time, ...
local ring = KEYS[1]

local noted = 0
for at = 1, #ARGV, 2 do
  local id, used = ARGV[at], tonumber(ARGV[at + 1])
  if redis.call("HEXISTS", ring, "k:" .. id) == 1 then
    local before = tonumber(redis.call("HGET", ring, "u:" .. id) or 0)
    redis.call("HSET", ring, "u:" .. id, math.max(before, used))
    noted = noted + 1
  end
end
return noted
