-- Uses something that counts only once. The first caller is known by its operation id and may repeat the call.
-- Returns 1 for the first caller, 0 for all others.
-- KEYS: key
-- ARGV: operation, ttl
local key, operation, ttl = KEYS[1], ARGV[1], ARGV[2]

if redis.call("SET", key, operation, "NX", "PX", ttl) then
  return 1
end
return redis.call("GET", key) == operation and 1 or 0
