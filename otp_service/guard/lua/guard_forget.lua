-- Forgets counters and other keys (KEYS from 2 on) and takes their blocks (ARGV) off the index. Returns how many keys
-- there were.
-- KEYS: ...
-- ARGV: none
redis.call("ZREM", KEYS[1], unpack(ARGV))
return redis.call("DEL", unpack(KEYS, 2))
