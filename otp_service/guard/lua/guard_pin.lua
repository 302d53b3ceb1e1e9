-- Writes a pin or, without a record, removes it. Returns 1 if one was removed, else 0. A repetition with the same
-- operation within `remember` ms returns the same.
-- KEYS: pins, operation
-- ARGV: name, remember, record (optional)
local pins_key, operation_key, name, remember, record = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]

if record then
  redis.call("HSET", pins_key, name, record)
elseif redis.call("HDEL", pins_key, name) == 1 then
  redis.call("SET", operation_key, 1, "PX", remember)
end
return redis.call("EXISTS", operation_key)
