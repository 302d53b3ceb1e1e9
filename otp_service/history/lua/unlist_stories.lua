-- Removes ids from the beginning of the list of an hour, those that are still there. Returns how many are left.
-- KEYS: list
-- ARGV: id, ...
local list_key = KEYS[1]

for _, id in ipairs(ARGV) do
  if redis.call("LINDEX", list_key, 0) == id then
    redis.call("LPOP", list_key)
  end
end
return redis.call("LLEN", list_key)
