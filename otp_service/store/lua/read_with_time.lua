-- Reads one value and the store's time (milliseconds). Returns {now, value or false}.
-- KEYS: fact
-- ARGV: none
-- include: now
local key = KEYS[1]

return {now, redis.call("GET", key)}
