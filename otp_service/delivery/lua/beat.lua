-- Says that a worker lives and lists those that do, in order. Times are milliseconds.
-- KEYS: workers
-- ARGV: name, ttl
-- include: now
local workers_key = KEYS[1]
local name, ttl = ARGV[1], tonumber(ARGV[2])

redis.call("ZREMRANGEBYSCORE", workers_key, "-inf", now)
redis.call("ZADD", workers_key, now + ttl, name)
redis.call("PEXPIRE", workers_key, 2 * ttl)
local names = redis.call("ZRANGE", workers_key, 0, -1)
table.sort(names)
return names
