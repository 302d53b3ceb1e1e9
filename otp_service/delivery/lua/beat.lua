-- Records that a worker is alive. Returns the names of all workers that are alive, sorted. Times are milliseconds.
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
