-- Reads all counters of one day: name and figure in turn.
-- KEYS: day
-- ARGV: none
local day_key = KEYS[1]

return redis.call("HGETALL", day_key)
