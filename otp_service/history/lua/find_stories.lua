-- Reads the names of a bucket of the index that begin with `prefix`.
-- Returns {field, time, ...}.
-- KEYS: bucket
-- ARGV: prefix
local bucket_key, prefix = KEYS[1], ARGV[1]
local found = {}

local all = redis.call("HGETALL", bucket_key)
for at = 1, #all, 2 do
  if string.sub(all[at], 1, #prefix) == prefix then
    found[#found + 1] = all[at]
    found[#found + 1] = all[at + 1]
  end
end
return found
