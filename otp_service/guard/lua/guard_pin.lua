-- Keeps a pin, or without a record takes it away. Returns 1 if there was one to take away, also when it is asked again
-- within `remember` ms for the same operation, as its reply was lost; else 0.
-- KEYS: pins, operation
-- ARGV: name, remember, record (optional)
local pins_key, operation_key, name, remember, record = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]

if record then
  redis.call("HSET", pins_key, name, record)
elseif redis.call("HDEL", pins_key, name) == 1 then
  redis.call("SET", operation_key, 1, "PX", remember)
end
return redis.call("EXISTS", operation_key)
