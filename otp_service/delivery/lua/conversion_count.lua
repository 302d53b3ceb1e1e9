-- Adds to counters of one day. Not exact: a call that is repeated after a lost reply counts twice.
-- Returns 1.
-- KEYS: day
-- ARGV: ttl, name, count, ...
local day_key, ttl = KEYS[1], ARGV[1]

for at = 2, #ARGV, 2 do
  redis.call("HINCRBY", day_key, ARGV[at], ARGV[at + 1])
end
redis.call("PEXPIRE", day_key, ttl)
return 1
