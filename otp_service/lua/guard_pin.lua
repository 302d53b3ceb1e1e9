-- Keeps a pin, or without a record takes it away. Returns 1 if that changed which pins there are.
local pins_key, name, record = KEYS[1], ARGV[1], ARGV[2]

if record then
  return redis.call("HSET", pins_key, name, record)
end
return redis.call("HDEL", pins_key, name)
