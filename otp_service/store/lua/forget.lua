-- Forgets values. Returns how many there were.
-- KEYS: fact, ...
-- ARGV: none
return redis.call("DEL", unpack(KEYS))
