-- The server's time in milliseconds, moved by the offset that the caller puts before all other arguments: hosts' clocks
-- do not matter, and a test moves time without waiting.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(table.remove(ARGV, 1))
