-- Reads how the store's records are written; a store that does not say gets the caller's mark. Returns the mark.
-- KEYS: mark
-- ARGV: layout
local key, layout = KEYS[1], ARGV[1]

local mark = redis.call("GET", key)
if not mark then
  redis.call("SET", key, layout)
  return layout
end
return mark
