-- Forgets values. Returns how many there were.
-- KEYS: ...
-- ARGV: none
return redis.call("DEL", unpack(KEYS))
