-- Reads what waits for each worker and how fast it works.
-- Returns {now, worker, time and figures, ...}.
-- KEYS: pace
-- ARGV: none
-- include: now
local pace_key = KEYS[1]

return {now, unpack(redis.call("HGETALL", pace_key))}
