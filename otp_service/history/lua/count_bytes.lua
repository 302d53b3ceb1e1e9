-- Reads the bytes that are counted for each hour, of each key. Returns a list of {hour, bytes, ...}.
-- KEYS: bytes, ...
-- ARGV: none
local counted = {}

for place, bytes_key in ipairs(KEYS) do
  counted[place] = redis.call("HGETALL", bytes_key)
end
return counted
