-- Forgets values. Returns how many there were.
return redis.call("DEL", unpack(KEYS))
