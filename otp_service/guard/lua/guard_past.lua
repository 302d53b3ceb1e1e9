-- Reads what is known of a number's past: since when it may have a new owner, and whether a session verified it within
-- `ms`. KEYS: the number's names among the recycled (`names` of them), then among those met; ARGV from 3 on: the
-- session's name under each of these. Returns {now, milliseconds or false, 1 or 0}.
-- KEYS: ...
-- ARGV: names, ms
-- include: now
local names, ms = tonumber(ARGV[1]), tonumber(ARGV[2])

local recycled, met = false, 0
for place, key in ipairs(KEYS) do
  if place <= names then
    recycled = recycled or redis.call("GET", key)
  else
    local at = tonumber(redis.call("HGET", key, ARGV[2 + place - names]) or nil)
    if at and now < at + ms then met = 1 end
  end
end
return {now, recycled, met}
