-- Adds names of stories to the buckets of the index; each has the hour in which it was added.
-- Returns 1.
-- KEYS: bucket, ...
-- ARGV: life, hour, field, ...
local life, hour = ARGV[1], ARGV[2]

for place, bucket_key in ipairs(KEYS) do
  redis.call("HSET", bucket_key, ARGV[place + 2], hour)
  redis.call("PEXPIRE", bucket_key, life)
end
return 1
