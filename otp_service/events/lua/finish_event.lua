-- Deletes an event, or schedules its next try after a pause in milliseconds ("": delete). `untried`: the try that was
-- counted did not take place ("1" or "").
-- Returns 1.
-- KEYS: queue, event
-- ARGV: id, pause, untried
-- include: now
local queue_key, event_key = KEYS[1], KEYS[2]
local id, pause, untried = ARGV[1], tonumber(ARGV[2]), ARGV[3] == "1"

local stored = redis.call("GET", event_key)
if pause and stored then
  local event = cjson.decode(stored)
  if untried and event.op then
    event.tries, event.op = event.tries - 1, nil
    redis.call("SET", event_key, cjson.encode(event), "KEEPTTL")
  end
  redis.call("ZADD", queue_key, now + pause, id)
else
  redis.call("DEL", event_key)
  redis.call("ZREM", queue_key, id)
end
return 1
