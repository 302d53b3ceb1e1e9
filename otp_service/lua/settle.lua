-- Writes down how a leased delivery ended and what follows, for the holder of the lease (its operation id).
-- `status` "" keeps the delivery's; `move` is one of hold, wait, again, next, give_up; `pause` is milliseconds;
-- `following` is the next delivery. The move counts only while the challenge is pending and the delivery its
-- newest. A delivery that is unknown may still become accepted or refused, never the reverse.
-- Returns {"settled", now, challenge} or {"lost", now}.
local due_key, challenge_key = KEYS[1], KEYS[2]
local offset, id, operation, reference = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local status, reason, upstream_id = ARGV[5], ARGV[6], ARGV[7]
local move, pause, following, wake, partition = ARGV[8], tonumber(ARGV[9]), ARGV[10], ARGV[11], ARGV[12]

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000) + offset

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge then
  return {"lost", now}
end
local deliveries = challenge.deliveries
local last = deliveries[#deliveries]
if status ~= "" then
  local mine
  for _, delivery in ipairs(deliveries) do
    if delivery.ref == reference then
      mine = delivery
    end
  end
  if not mine or (mine.status ~= "sending" and mine.status ~= "unknown") then
    return {"lost", now}
  end
  mine.status = status
  if reason ~= "" then mine.reason = reason end
  if upstream_id ~= "" then mine.upstream_id = upstream_id end
end

local leads = not challenge.state and challenge.lease == operation
  and (status == "" or last.ref == reference)
if leads then
  challenge.lease = nil
  if move == "give_up" then
    challenge.state = "undeliverable"
    for _, delivery in ipairs(deliveries) do
      delivery.hash = nil
    end
    redis.call("ZREM", due_key, id)
  else
    local deadline = challenge.expires
    if move == "again" then
      last.status = "queued"
      last.deferrals = (last.deferrals or 0) + 1
    elseif move == "next" then
      local delivery = cjson.decode(following)
      delivery.at = now
      deliveries[#deliveries + 1] = delivery
    end
    if move ~= "hold" then
      deadline = math.min(now + pause, deadline)
      redis.call("PUBLISH", wake, partition)
    end
    redis.call("ZADD", due_key, deadline, id)
  end
end
stored = cjson.encode(challenge)
redis.call("SET", challenge_key, stored, "KEEPTTL")
return {"settled", now, stored}
