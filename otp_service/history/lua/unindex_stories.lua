-- Removes names from the buckets of the index. Returns how many there were.
-- KEYS: bucket, ...
-- ARGV: field, ...
local removed = 0

for place, bucket_key in ipairs(KEYS) do
  removed = removed + redis.call("HDEL", bucket_key, ARGV[place])
end
return removed
