-- Says whether a session verified a number within `ms`, under any of their names (ARGV from 3 on, one for each key).
local offset, ms = tonumber(ARGV[1]), tonumber(ARGV[2])

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000) + offset
for place, key in ipairs(KEYS) do
  local at = tonumber(redis.call("HGET", key, ARGV[2 + place]) or nil)
  if at and now < at + ms then
    return 1
  end
end
return 0
