-- Says that a worker lives and lists those that do, in order. Times are milliseconds.
local workers_key = KEYS[1]
local offset, name, ttl = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000) + offset

redis.call("ZREMRANGEBYSCORE", workers_key, "-inf", now)
redis.call("ZADD", workers_key, now + ttl, name)
redis.call("PEXPIRE", workers_key, 2 * ttl)
local names = redis.call("ZRANGE", workers_key, 0, -1)
table.sort(names)
return names
