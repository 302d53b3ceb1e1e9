-- Ends those of some challenges whose time is over, and removes those that are gone from the schedule.
-- Returns {id, record, ...} with each challenge that this call ended, and with an empty record each for which more is left to
-- do: its app has yet to be told, or a charge to be given back. A call that is repeated after a lost reply, with the same
-- operation id, returns the same.
-- KEYS: due, challenge, ...
-- ARGV: operation, id, ...
-- include: now
-- include: bands
-- include: end_deliveries
-- include: expire
local due_key, operation, ended = KEYS[1], ARGV[1], {}

local function report(id, record)
  ended[#ended + 1] = id
  ended[#ended + 1] = record
end

for place = 2, #ARGV do
  local id, challenge_key = ARGV[place], KEYS[place]
  local stored = redis.call("GET", challenge_key)
  local challenge = stored and cjson.decode(stored)
  if challenge and challenge.owed then
    report(id, "")
  elseif challenge and challenge.state and challenge.op == operation then
    report(id, stored)
  elseif not challenge or challenge.state and not challenge.watched then
    redis.call("ZREM", due_key, id)
  elseif not challenge.state and now >= challenge.expires then
    report(id, expire(challenge, challenge_key, due_key, id, operation))
  elseif challenge.state then
    report(id, "")
  end
end
return ended
