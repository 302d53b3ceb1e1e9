-- Reads several keys in turn. Returns the first value that exists, or false.
-- KEYS: fact, ...
-- ARGV: none
for _, key in ipairs(KEYS) do
  local value = redis.call("GET", key)
  if value then
    return value
  end
end
return false
