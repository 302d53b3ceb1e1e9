-- Erases a challenge in any state. A worker that holds it has lost it.
-- Returns 1 if the challenge existed, else 0.
-- KEYS: due, challenge
-- ARGV: id
local due_key, challenge_key, id = KEYS[1], KEYS[2], ARGV[1]

redis.call("ZREM", due_key, id)
return redis.call("DEL", challenge_key)
