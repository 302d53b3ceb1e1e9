-- Adds names of stories to the buckets of the index, each with the time (milliseconds) of what gave the name.
-- Returns 1.
-- KEYS: bucket, ...
-- ARGV: life, field, time, ...
local life = ARGV[1]

for place, bucket_key in ipairs(KEYS) do
  redis.call("HSET", bucket_key, ARGV[2 * place], ARGV[2 * place + 1])
  redis.call("PEXPIRE", bucket_key, life)
end
return 1
