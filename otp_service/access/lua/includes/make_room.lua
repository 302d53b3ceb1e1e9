-- Tells whether the ring has room for another key. When it holds `most`, the key that ended first makes room.
local function make_room(ring, most)
  local all, count, first = redis.call("HGETALL", ring), 0, nil
  for at = 1, #all, 2 do
    if string.sub(all[at], 1, 2) == "k:" then
      local key = cjson.decode(all[at + 1])
      count = count + 1
      if key.expires and key.expires <= now and (not first or key.expires < first.expires) then
        first = key
      end
    end
  end
  if count >= most and first then
    redis.call("HDEL", ring, "k:" .. first.id, "u:" .. first.id)
    return true
  end
  return count < most
end

