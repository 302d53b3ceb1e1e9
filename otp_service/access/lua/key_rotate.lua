-- Adds a successor of a valid key to the ring. The key ends after `overlap` milliseconds, or at its own end if that is
-- sooner. The successor is valid for `lifetime` milliseconds, or for the lifetime of the key before it. At most two keys
-- of one line are valid. A repetition with the same successor returns the same.
-- Returns {"rotated", the successor's record}, {"none"}, {"ended"}, {"crowded", id of the other valid key}, or {"full"}
-- if the ring holds `most` keys, all valid.
-- KEYS: ring
-- ARGV: id, overlap, successor, lifetime, why, most
-- include: now
-- include: make_room
local ring = KEYS[1]
local id, overlap = ARGV[1], tonumber(ARGV[2])
local successor, lifetime, why, most = cjson.decode(ARGV[3]), tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])

local made = redis.call("HGET", ring, "k:" .. successor.id)
if made then
  return {"rotated", made}
end
local stored = redis.call("HGET", ring, "k:" .. id)
if not stored then
  return {"none"}
end
local key = cjson.decode(stored)
if key.expires and key.expires <= now then
  return {"ended"}
end
local all = redis.call("HGETALL", ring)
for at = 1, #all, 2 do
  if string.sub(all[at], 1, 2) == "k:" and all[at] ~= "k:" .. id then
    local other = cjson.decode(all[at + 1])
    if other.line == key.line and not (other.expires and other.expires <= now) then
      return {"crowded", other.id}
    end
  end
end
if not make_room(ring, most) then
  return {"full"}
end
successor.kind = key.kind
successor.owner = key.owner
successor.role = key.role
successor.limited_to = key.limited_to
successor.label = key.label
successor.line = key.line
successor.created = now
successor.lifetime = lifetime or key.lifetime
if successor.lifetime then
  successor.expires = now + successor.lifetime
end
key.replaced_by = successor.id
key.ended_by = successor.by
key.ended_why = why
key.expires = math.min(key.expires or now + overlap, now + overlap)
made = cjson.encode(successor)
redis.call("HSET", ring, "k:" .. id, cjson.encode(key), "k:" .. successor.id, made)
redis.call("HINCRBY", ring, "head", 1)
return {"rotated", made}
