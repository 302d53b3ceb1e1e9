-- Counts the ids in lists. Returns a number for each.
-- KEYS: list, ...
-- ARGV: none
local counts = {}

for place, list_key in ipairs(KEYS) do
  counts[place] = redis.call("LLEN", list_key)
end
return counts
