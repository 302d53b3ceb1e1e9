-- Replaces a pin by one under another name, or under its own, unless it has changed. A pin that already has the new name
-- is newer, and stays. Returns 1 if the pin was replaced, else 0.
-- KEYS: pins
-- ARGV: old, expected, new, record
local pins_key, old, expected, new, record = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if redis.call("HGET", pins_key, new) == record then
  return 1 -- a repetition after a lost reply
end
if redis.call("HGET", pins_key, old) ~= expected then
  return 0
end
redis.call("HDEL", pins_key, old)
redis.call("HSETNX", pins_key, new, record)
return 1
