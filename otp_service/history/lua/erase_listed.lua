-- Removes an id from the list of an hour. Returns how often it was there.
-- KEYS: list
-- ARGV: id
local list_key, id = KEYS[1], ARGV[1]

return redis.call("LREM", list_key, 0, id)
