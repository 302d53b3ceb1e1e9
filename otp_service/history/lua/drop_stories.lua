-- Deletes stories and takes their bytes off the count: of each the lines and a `cost`.
-- Returns how many there were.
-- KEYS: bytes, story, ...
-- ARGV: cost, ...
local HEAD = 7
local dropped = 0

for place = 1, #KEYS, 2 do
  local bytes_key, story_key = KEYS[place], KEYS[place + 1]
  local size = redis.call("STRLEN", story_key)
  if size > 0 then
    local begun = redis.call("GETRANGE", story_key, 0, HEAD - 1)
    redis.call("HINCRBY", bytes_key, begun, HEAD - size - ARGV[(place + 1) / 2])
    dropped = dropped + redis.call("DEL", story_key)
  end
end
return dropped
