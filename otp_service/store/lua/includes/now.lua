-- The server's time in milliseconds, so that the clocks of hosts do not matter. The caller passes an offset before all other
-- arguments: zero, except in tests, which move time without waiting.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(table.remove(ARGV, 1))
