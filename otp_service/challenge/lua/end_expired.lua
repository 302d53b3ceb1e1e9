-- Ends those of some challenges whose time is over, and removes those that are gone from the schedule.
-- Returns {now, id, state, app, ...} with each challenge that this call ended, and without a state each for which more is
-- left to do: its app has yet to be told, or a charge to be given back.
-- KEYS: due, challenge, ...
-- ARGV: id, ...
-- include: now
-- include: bands
-- include: end_deliveries
-- include: expire
local due_key, ended = KEYS[1], {now}

local function report(id, state, app)
  for _, part in ipairs({id, state, app}) do ended[#ended + 1] = part end
end

for place, id in ipairs(ARGV) do
  local challenge_key = KEYS[place + 1]
  local stored = redis.call("GET", challenge_key)
  local challenge = stored and cjson.decode(stored)
  if challenge and challenge.owed then
    report(id, "", challenge.app)
  elseif not challenge or challenge.state and not challenge.watched then
    redis.call("ZREM", due_key, id)
  elseif not challenge.state and now >= challenge.expires then
    expire(challenge, challenge_key, due_key, id)
    report(id, challenge.state, challenge.app)
  elseif challenge.state then
    report(id, "", challenge.app)
  end
end
return ended
