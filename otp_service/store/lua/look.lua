-- Reads one value together with the store's time (milliseconds). Returns {now, value or false}.
local key = KEYS[1]
local offset = tonumber(ARGV[1])

local time = redis.call("TIME")
return {time[1] * 1000 + math.floor(time[2] / 1000) + offset, redis.call("GET", key)}
