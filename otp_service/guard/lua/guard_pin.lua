-- Writes a pin or, without a record, removes it. When there are `most` pins, those that have ended make room.
-- Returns 1 if one was removed, -1 if there are `most` others that have not ended, else 0. A repetition with the same
-- operation within `remember` ms returns the same.
-- KEYS: pins, operation
-- ARGV: name, remember, most, record (optional)
-- include: now
local pins_key, operation_key = KEYS[1], KEYS[2]
local name, remember, most, record = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]

if record then
  if redis.call("HEXISTS", pins_key, name) == 0 and redis.call("HLEN", pins_key) >= most then
    local all = redis.call("HGETALL", pins_key)
    for at = 1, #all, 2 do
      local ends = cjson.decode(all[at + 1])["until"]
      if ends and ends <= now then
        redis.call("HDEL", pins_key, all[at])
      end
    end
    if redis.call("HLEN", pins_key) >= most then
      return -1
    end
  end
  redis.call("HSET", pins_key, name, record)
elseif redis.call("HDEL", pins_key, name) == 1 then
  redis.call("SET", operation_key, 1, "PX", remember)
end
return redis.call("EXISTS", operation_key)
