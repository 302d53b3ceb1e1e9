-- Begins a session that ends after `idle` milliseconds without a request, and after `longest` in any case.
-- KEYS: session
-- ARGV: record, idle, longest
-- include: now
local session_key, record = KEYS[1], cjson.decode(ARGV[1])
local idle, longest = tonumber(ARGV[2]), tonumber(ARGV[3])

record.idle_ends, record.ends = now + idle, now + longest
redis.call("SET", session_key, cjson.encode(record), "PX", idle)
return 1
