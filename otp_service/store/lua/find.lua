-- Reads the first value that stands under one of several keys. Returns it, or false.
-- KEYS: fact, ...
-- ARGV: none
for _, key in ipairs(KEYS) do
  local value = redis.call("GET", key)
  if value then
    return value
  end
end
return false
