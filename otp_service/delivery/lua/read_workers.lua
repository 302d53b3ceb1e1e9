-- Says until when the worker that beat last counts as alive (milliseconds), and how many workers are alive.
-- Returns {now, end or false, count}.
-- KEYS: workers
-- ARGV: none
-- include: now
local workers_key = KEYS[1]

local newest = redis.call("ZREVRANGE", workers_key, 0, 0, "WITHSCORES")
return {now, newest[2] or false, redis.call("ZCOUNT", workers_key, string.format("(%d", now), "+inf")}
