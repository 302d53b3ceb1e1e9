-- Uses something that counts only once: within `ttl` milliseconds, or if `ends` is given, before that time. The first
-- caller is known by its operation and may repeat the call, also when it names that operation among others. A repetition
-- writes again, so that WAIT can tell of it.
-- Returns 1 for the first caller, 0 for all others, and -1 if it is too late.
-- KEYS: key
-- ARGV: ttl, ends, operation, ...
-- include: now
local key, ttl, ends, operation = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]

ttl = ends and ends - now or ttl
if ends and ttl <= 0 then
  return -1
end
if redis.call("SET", key, operation, "NX", "PX", ttl) then
  return 1
end
local first = redis.call("GET", key)
for place = 3, #ARGV do
  if ARGV[place] == first then
    redis.call("SET", key, first, "KEEPTTL")
    return 1
  end
end
return 0
