-- Counts one guess before it is checked. A repeated call with the same operation id counts once.
-- Returns {"counted", now, challenge}, {"shape", now}, {"exhausted", now} or {"gone", now}.
-- KEYS: challenge
-- ARGV: app, operation, code length
-- include: now
local challenge_key = KEYS[1]
local app, operation, code_length = ARGV[1], ARGV[2], tonumber(ARGV[3])

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge or challenge.app ~= app or challenge.state or now >= challenge.expires then
  return {"gone", now}
end
if challenge.digits ~= code_length then
  return {"shape", now}
end
local attempts = challenge.attempts or {}
for _, known in ipairs(attempts) do
  if known == operation then
    return {"counted", now, stored}
  end
end
if #attempts >= challenge.guesses then
  return {"exhausted", now}
end
attempts[#attempts + 1] = operation
challenge.attempts = attempts
if #attempts >= challenge.guesses then
  for _, delivery in ipairs(challenge.deliveries) do
    if delivery.status == "queued" or delivery.status == "claimed" then
      delivery.status = "not_sent" -- exhausted, or verified in a moment: nothing more is sent
    end
  end
end
stored = cjson.encode(challenge)
redis.call("SET", challenge_key, stored, "KEEPTTL")
return {"counted", now, stored}
