-- Deletes an event, or schedules its next try after a pause in milliseconds ("": delete). Returns 1.
-- KEYS: queue, event
-- ARGV: id, pause
-- include: now
local queue_key, event_key = KEYS[1], KEYS[2]
local id, pause = ARGV[1], tonumber(ARGV[2])

if pause and redis.call("EXISTS", event_key) == 1 then
  redis.call("ZADD", queue_key, now + pause, id)
else
  redis.call("DEL", event_key)
  redis.call("ZREM", queue_key, id)
end
return 1
