-- Removes a worker that stops, so that the others take over at once. Returns how many were removed.
-- KEYS: workers
-- ARGV: name
local workers_key, name = KEYS[1], ARGV[1]

return redis.call("ZREM", workers_key, name)
