-- Adds a key to the ring, valid for `lifetime` milliseconds ("": without an end). A repetition with the same id returns
-- the same. Returns the key's record, or "" if the ring holds `most` keys, all valid.
-- KEYS: ring
-- ARGV: record, lifetime, most
-- include: now
-- include: make_room
local ring = KEYS[1]
local record, lifetime, most = cjson.decode(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local field = "k:" .. record.id
local known = redis.call("HGET", ring, field)
if known then
  return known
end
if not make_room(ring, most) then
  return ""
end
record.line = record.id
record.created = now
if lifetime then
  record.lifetime = lifetime
  record.expires = now + lifetime
end
local made = cjson.encode(record)
redis.call("HSET", ring, field, made)
redis.call("HINCRBY", ring, "head", 1)
return made
