-- Reads what is known about a number: since when it may have a new owner, and whether a session verified it within `ms`.
-- The first `names` keys are those of recycled numbers, the others those of sessions; `session` is the session's name in
-- each of the latter. Returns {now, milliseconds or false, 1 or 0}.
-- KEYS: name of the number, ...
-- ARGV: names, ms, session, ...
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
