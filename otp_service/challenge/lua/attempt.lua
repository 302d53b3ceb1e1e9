-- Counts one guess before it is checked, if this process has the keys to check it. A repeated call with the same
-- operation counts once. A guess with an Idempotency-Key has names, HMACs of that key, the newest first; the challenge
-- remembers under the first one how the guess was answered, so that a repetition is neither counted nor checked again.
-- The plan has `app`, `op` (operation), `digits` (of the code), `lease` (milliseconds after which a guess without an
-- answer was lost), `repeats` (how many repetitions are answered: each is hashed), and if there are any `names`, `device`
-- (the other field that decides the answer), `schemes` and `seals` (what this process can check, each between commas).
-- Returns {what, now, challenge} for "counted", "wrong" (answered before) and "won" (before, by this key: check that the
-- code is the same); and {what, now} for "running" (being checked elsewhere), "reused" (the key came with another body),
-- "unreadable", "shape" (a code of another length), "exhausted" and "gone".
-- KEYS: challenge
-- ARGV: plan (JSON)
-- include: now
local challenge_key = KEYS[1]
local plan = cjson.decode(ARGV[1])

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge or challenge.app ~= plan.app then
  return {"gone", now}
end

local function write(what)
  stored = cjson.encode(challenge)
  redis.call("SET", challenge_key, stored, "KEEPTTL")
  return {what, now, stored}
end

local function holds(list, id)
  return not list or string.find(list, "," .. id .. ",", 1, true)
end

local names, asked, attempts = plan.names or {}, challenge.asked or {}, challenge.attempts or {}
local name, won = names[1], false
for _, known in ipairs(names) do
  if asked[known] then
    name = known
  end
  won = won or (challenge.proof and challenge.proof.key == known)
end
local before = name and asked[name]
if won and now >= challenge.proof.ends then
  return {"gone", now}
end
local over = challenge.state or now >= challenge.expires
if over and not won and not (before and before.left) then
  return {"gone", now}
end
if before and (before.device ~= plan.device or challenge.digits ~= plan.digits) then
  return {"reused", now}
end
if challenge.digits ~= plan.digits then
  return {"shape", now}
end
local seal = string.match(challenge.sealed, "^[^.]*")
if not (holds(plan.schemes, challenge.scheme) and holds(plan.seals, seal)) then
  return {"unreadable", now}
end

-- Each repetition costs as much as a guess, so that they have a limit, too.
local function repeated(what)
  local again = challenge.again or {n = 0}
  if again.op ~= plan.op then
    if again.n >= plan.repeats then
      return {"gone", now}
    end
    challenge.again = {n = again.n + 1, op = plan.op}
  end
  return write(what)
end

if won then
  -- Counted until it is found to be the same code: other codes must not be tried with the key of the right one.
  local repeats, newest = challenge.proof.repeats or {}, 0
  for _, one in ipairs(repeats) do
    if one.op == plan.op then
      return {"won", now, stored}
    end
    newest = math.max(newest, one.at)
  end
  if #repeats >= challenge.guesses then
    return {now < newest + plan.lease and "running" or "reused", now}
  end
  repeats[#repeats + 1] = {op = plan.op, at = now}
  challenge.proof.repeats = repeats
  return repeated("won")
end
if before and before.left then
  return repeated("wrong")
end
if before and before.op == plan.op then
  return {"counted", now, stored}
end
for _, known in ipairs(attempts) do
  if known == plan.op then
    return {"counted", now, stored}
  end
end
if before and not before.unchecked and now < before.at + plan.lease then
  return {"running", now}
end
if not (before and before.unchecked) then
  if #attempts >= challenge.guesses then
    return {"exhausted", now}
  end
  attempts[#attempts + 1] = plan.op
  challenge.attempts = attempts
end
if #attempts >= challenge.guesses then
  for _, delivery in ipairs(challenge.deliveries) do
    if delivery.status == "queued" or delivery.status == "claimed" then
      delivery.status = "not_sent" -- exhausted, or verified in a moment: nothing more is sent
    end
  end
end
if name then
  asked[name] = {op = plan.op, at = now, device = plan.device}
  challenge.asked = asked
end
return write("counted")
