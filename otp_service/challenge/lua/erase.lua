-- Erases a challenge: ended or not, it is gone at once, and whoever holds it has lost it.
-- Returns 1 if there was one, else 0.
-- KEYS: due, challenge
-- ARGV: id
local due_key, challenge_key, id = KEYS[1], KEYS[2], ARGV[1]

redis.call("ZREM", due_key, id)
return redis.call("DEL", challenge_key)
