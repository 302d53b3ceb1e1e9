-- Ends the count of an hour whose list is empty. Returns 1.
-- KEYS: bytes, ...
-- ARGV: hour
local hour = ARGV[1]

for _, bytes_key in ipairs(KEYS) do
  redis.call("HDEL", bytes_key, hour)
end
return 1
