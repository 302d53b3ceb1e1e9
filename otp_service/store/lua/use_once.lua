-- Uses something that counts only once. The first caller is known by its operation and may repeat the call, also when it
-- names that operation among others. A repetition writes again, so that WAIT can tell of it.
-- Returns 1 for the first caller, 0 for all others.
-- KEYS: key
-- ARGV: ttl, operation, ...
local key, ttl, operation = KEYS[1], ARGV[1], ARGV[2]

if redis.call("SET", key, operation, "NX", "PX", ttl) then
  return 1
end
local first = redis.call("GET", key)
for place = 2, #ARGV do
  if ARGV[place] == first then
    redis.call("SET", key, first, "KEEPTTL")
    return 1
  end
end
return 0
