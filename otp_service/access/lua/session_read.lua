-- Reads a session and lets it last `idle` milliseconds longer, but not beyond its end. Returns false if there is none.
-- KEYS: session
-- ARGV: idle
-- include: now
local session_key, idle = KEYS[1], tonumber(ARGV[1])

local stored = redis.call("GET", session_key)
if not stored then
  return false
end
local record = cjson.decode(stored)
if now >= record.idle_ends then
  redis.call("DEL", session_key)
  return false
end
record.idle_ends = math.min(now + idle, record.ends)
redis.call("SET", session_key, cjson.encode(record), "PX", record.idle_ends - now)
return stored
