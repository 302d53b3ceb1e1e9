-- Ends a key now. A repetition with the same operation returns the same.
-- Returns {"revoked", the key's record}, {"none"}, or {"ended"} if the key had already ended.
-- KEYS: ring
-- ARGV: id, by, why, operation
-- include: now
local ring = KEYS[1]
local id, by, why, operation = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local stored = redis.call("HGET", ring, "k:" .. id)
if not stored then
  return {"none"}
end
local key = cjson.decode(stored)
if key.op == operation then
  return {"revoked", stored}
end
if key.expires and key.expires <= now then
  return {"ended"}
end
key.expires = now
key.ended_by = by
key.ended_why = why
key.op = operation
stored = cjson.encode(key)
redis.call("HSET", ring, "k:" .. id, stored)
redis.call("HINCRBY", ring, "head", 1)
return {"revoked", stored}
