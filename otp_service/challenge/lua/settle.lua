-- Stores how a leased delivery ended and what follows. The operation id identifies the lease.
-- `ending` is a JSON object. How it ended: `reference` of the message, `status` ("" for no news), `overruled` (the
-- statuses that `status` overrules), `reason`, `upstream_id`, and `account` if it could not take the message. What
-- follows: `move` (hold, wait, again, next or give_up), `pause` (milliseconds; -1 means until the step's wait is over)
-- and `following` (the next delivery).
-- The move counts only while the lease holds, the challenge is pending and the delivery is its newest. If the delivery
-- already has a status that this one does not overrule, the challenge is due at once instead. If no guess is left, nothing
-- follows.
-- Returns {"settled", now, challenge, the move that was made or ""} or {"lost", now}. A call that is repeated after a lost
-- reply is told of a move to the next step or to the end as the first was: `moved` names the lease that made the last one.
-- KEYS: due, challenge
-- ARGV: id, operation, ending, wake
-- include: now
-- include: bands
-- include: end_deliveries
local due_key, challenge_key = KEYS[1], KEYS[2]
local id, operation, ending, wake = ARGV[1], ARGV[2], cjson.decode(ARGV[3]), ARGV[4]
local reference, status, overruled, reason = ending.reference, ending.status, ending.overruled, ending.reason
local upstream_id, account, move, pause = ending.upstream_id, ending.account, ending.move, ending.pause

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge then
  return {"lost", now}
end
local deliveries = challenge.deliveries
local last = deliveries[#deliveries]
local known_better, changed = false, false
local is_repeated = challenge.moved == operation
if status ~= "" then
  local mine
  for _, delivery in ipairs(deliveries) do
    if delivery.ref == reference then
      mine = delivery
    end
  end
  if not mine then
    return {"lost", now}
  end
  if string.find(overruled, "," .. mine.status .. ",", 1, true) then
    mine.status = status
    mine.reason = reason ~= "" and reason or nil
    changed = true
  else
    known_better = true
  end
  if upstream_id ~= "" then mine.uid = upstream_id end
end

local leads = not challenge.state and not challenge.owed and challenge.lease == operation
  and (status == "" or last.ref == reference)
if leads then
  challenge.lease = nil
  if known_better then
    move, pause = "wait", 0
  end
  if #(challenge.attempts or {}) >= challenge.guesses then
    move = "hold" -- exhausted meanwhile: nothing more is sent
  end
  local deadline = challenge.expires
  if last.status == "claimed" and (move == "hold" or move == "give_up") then
    last.status = "refused" -- no account could take it
    last.reason = "no_account_left"
    changed = true
  end
  if move == "next" or move == "give_up" then
    challenge.moved = operation
  end
  if move == "give_up" then
    challenge.state = "undeliverable"
    end_deliveries(challenge)
  elseif move == "again" then
    last.status = "queued"
    if pause == 0 then
      last.tried = last.tried or {}
      table.insert(last.tried, account)
    else
      last.tried = nil
      if account ~= "" then last.deferrals = (last.deferrals or 0) + 1 end
    end
  elseif move == "next" then
    local delivery = ending.following
    delivery.at = now
    deliveries[#deliveries + 1] = delivery
  elseif move == "wait" and last.ends then
    deadline = math.min(deadline, math.max(last.ends, now))
  end
  if move ~= "hold" and move ~= "give_up" and pause >= 0 then
    deadline = math.min(now + pause, deadline)
  end
  if challenge.state and not challenge.watched then
    redis.call("ZREM", due_key, id)
  else
    if challenge.watched and (challenge.state or changed and (move == "hold" or move == "wait")) then
      deadline = now -- its app has to be told, but not of a message that is sent again
    end
    redis.call("ZADD", due_key, deadline >= challenge.expires and deadline + BAND or deadline, id)
    if deadline <= now then
      redis.call("PUBLISH", wake, id)
    elseif deadline < challenge.expires then
      redis.call("PUBLISH", wake, string.sub(id, 1, 2) .. "+" .. deadline - now)
    end
  end
end
if not leads and challenge.state and challenge.watched and changed then
  challenge.lease = nil
  redis.call("ZADD", due_key, now, id) -- the challenge ended before this was known: tell its app
  redis.call("PUBLISH", wake, id)
end
stored = cjson.encode(challenge)
redis.call("SET", challenge_key, stored, "KEEPTTL")
return {"settled", now, stored, (leads or is_repeated) and move or ""}
