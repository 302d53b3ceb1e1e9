-- Reads since when a number may have a new owner, under any of its names. Returns {now, milliseconds or false}.
local offset = tonumber(ARGV[1])

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000) + offset
for _, key in ipairs(KEYS) do
  local at = redis.call("GET", key)
  if at then
    return {now, at}
  end
end
return {now, false}
