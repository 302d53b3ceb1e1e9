-- Moves a value to another key, or rewrites it under its own, with the time to live that is left. Does nothing if the old
-- key no longer holds the expected value. A value that already exists under the new key is newer and stays.
-- Returns 1 if the value was written, else 0.
-- KEYS: old, new
-- ARGV: expected, value
local old_key, new_key, expected, value = KEYS[1], KEYS[2], ARGV[1], ARGV[2]

if redis.call("GET", new_key) == value then
  return 1 -- the same call again, after a lost reply
end
if redis.call("GET", old_key) ~= expected then
  return 0
end
local ttl = math.max(1, redis.call("PTTL", old_key))
redis.call("DEL", old_key)
redis.call("SET", new_key, value, "PX", ttl, "NX")
return 1
