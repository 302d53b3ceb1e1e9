-- Writes a value anew under another name, or its own, for the time that is left to it, unless it is another by now. What
-- stands under the new name already is newer, and stays. Returns 1 if it was written, else 0.
-- KEYS: old, new
-- ARGV: expected, value
local old_key, new_key, expected, value = KEYS[1], KEYS[2], ARGV[1], ARGV[2]

if redis.call("GET", new_key) == value then
  return 1 -- asked again after a lost reply
end
if redis.call("GET", old_key) ~= expected then
  return 0
end
local ttl = math.max(1, redis.call("PTTL", old_key))
redis.call("DEL", old_key)
redis.call("SET", new_key, value, "PX", ttl, "NX")
return 1
