-- Adds to counters of one day; after a lost reply twice, as far as they must be exact.
-- Returns 1.
-- KEYS: day
-- ARGV: ttl, name, ...
local day_key, ttl = KEYS[1], ARGV[1]

for at = 2, #ARGV do
  redis.call("HINCRBY", day_key, ARGV[at], 1)
end
redis.call("PEXPIRE", day_key, ttl)
return 1
