-- Records a fault of an account, once per operation id. The breaker opens after `tolerance` faults in a row, or when a probe
-- fails: for `pause` milliseconds if that is given, else for `first`, or for twice the last pause after a probe. While it is
-- open, faults of requests that left earlier change nothing. Returns the milliseconds for which this call opened it, or 0.
-- KEYS: breaker
-- ARGV: pause, tolerance, first, longest, ttl, operation
-- include: now
local key = KEYS[1]
local pause, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local first, longest, ttl, operation = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]

local stored = redis.call("GET", key)
local breaker = stored and cjson.decode(stored) or {faults = 0}
if breaker.op == operation then
  return breaker.opened
end
if breaker.ends and now < breaker.ends then
  return 0
end
breaker.faults = breaker.faults + 1
local opened
if breaker.ends then
  opened = pause or math.min(2 * breaker.pause, longest)
elseif breaker.faults >= tolerance then
  opened = pause or first
end
if opened then
  breaker.pause = opened
  breaker.ends = now + opened
  breaker.probe = nil
end
breaker.op = operation
breaker.opened = opened or 0
redis.call("SET", key, cjson.encode(breaker), "PX", ttl)
return breaker.opened
