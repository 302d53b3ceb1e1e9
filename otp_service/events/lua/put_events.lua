-- Queues events for an app and writes their names into the challenge, so that none is queued twice. `over` is the
-- operation id of the lease on a challenge that has ended: removes it from the schedule, unless another lease holds it.
-- An event that the app does not want has no record.
-- Returns {"queued", now}.
-- KEYS: challenge, due, queue, event, ...
-- ARGV: id, told, over, ttl, wake, partition, event id, event record, event name, ...
-- include: now
local challenge_key, due_key, queue_key = KEYS[1], KEYS[2], KEYS[3]
local id, told, over, ttl = ARGV[1], cjson.decode(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local wake, partition = ARGV[5], ARGV[6]

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
local seen = {}
if challenge then
  local known = challenge.told or {}
  for _, name in ipairs(known) do
    seen[name] = true
  end
  local more = false
  for _, name in ipairs(told) do
    if not seen[name] then
      known[#known + 1] = name
      more = true
    end
  end
  if more then
    challenge.told = known
    redis.call("SET", challenge_key, cjson.encode(challenge), "KEEPTTL")
  end
end
local queued = false
for at = 4, #KEYS do
  local first = 7 + 3 * (at - 4)
  if not seen[ARGV[first + 2]] then
    redis.call("SET", KEYS[at], ARGV[first + 1], "PX", ttl)
    redis.call("ZADD", queue_key, now, ARGV[first])
    queued = true
  end
end
if queued then
  redis.call("PEXPIRE", queue_key, 2 * ttl)
  redis.call("PUBLISH", wake, partition)
end
if over ~= "" and (not challenge or challenge.lease == over) then
  redis.call("ZREM", due_key, id)
end
return {"queued", now}
