-- Deletes values. Returns how many existed.
-- KEYS: fact, ...
-- ARGV: none
return redis.call("DEL", unpack(KEYS))
