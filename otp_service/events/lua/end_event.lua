-- Forgets an event, or schedules its next try after a pause in milliseconds ("" is none). Returns 1.
local queue_key, event_key = KEYS[1], KEYS[2]
local offset, id, pause = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000) + offset

if pause and redis.call("EXISTS", event_key) == 1 then
  redis.call("ZADD", queue_key, now + pause, id)
else
  redis.call("DEL", event_key)
  redis.call("ZREM", queue_key, id)
end
return 1
