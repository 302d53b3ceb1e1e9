-- Takes a worker that stops off the list, so that the others take over at once.
-- KEYS: workers
-- ARGV: name
local workers_key, name = KEYS[1], ARGV[1]

return redis.call("ZREM", workers_key, name)
