-- Lists what has ended: the ids whose ending is due. They are few at once, as whoever asks works through them.
-- Returns {now, id, ...}.
-- KEYS: due
-- ARGV: limit
-- include: now
-- include: bands
local due_key, limit = KEYS[1], ARGV[1]

local found = redis.call("ZRANGEBYSCORE", due_key, BAND, now + BAND, "LIMIT", 0, limit)
return {now, unpack(found)}
