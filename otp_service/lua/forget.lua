-- Forgets a value. Returns 1 if there was one, else 0.
local key = KEYS[1]

return redis.call("DEL", key)
