-- Spends something that counts once; the spender is known by its operation id and may ask again.
-- Returns 1 for the spender, 0 for everyone else.
-- KEYS: key
-- ARGV: operation, ttl
local key, operation, ttl = KEYS[1], ARGV[1], ARGV[2]

if redis.call("SET", key, operation, "NX", "PX", ttl) then
  return 1
end
return redis.call("GET", key) == operation and 1 or 0
