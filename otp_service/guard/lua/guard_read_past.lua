-- Reads what is known about a number: since when it may have a new owner, whether a session verified it within `ms`, and
-- how many sends of known devices were not verified since the last one that was. The first key is the counter of these
-- sends, the next `names` keys are those of recycled numbers, the others those of sessions; `session` is the session's
-- name in each of the latter. Returns {now, milliseconds or false, 1 or 0, sends}.
-- KEYS: counter, name of the number, ...
-- ARGV: names, ms, session, ...
-- include: now
local names, ms = tonumber(ARGV[1]), tonumber(ARGV[2])

local recycled, met = false, 0
for place, key in ipairs(KEYS) do
  if place > names + 1 then
    local at = tonumber(redis.call("HGET", key, ARGV[1 + place - names]) or nil)
    if at and now < at + ms then met = 1 end
  elseif place > 1 then
    recycled = recycled or redis.call("GET", key)
  end
end
return {now, recycled, met, tonumber(redis.call("HGET", KEYS[1], "dn") or 0)}
