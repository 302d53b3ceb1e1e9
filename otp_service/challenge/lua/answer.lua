-- Records what became of a guess with an Idempotency-Key: "wrong" (with the checks that were `left` and the hash of the
-- code), "unchecked" (counted, but the process that counted it could not go on), "same" (it repeated the right code) or
-- "other" (it came with another code than the right one).
-- Does nothing if another request has taken the guess over.
-- Returns 1 if the challenge was changed, else 0.
-- KEYS: challenge
-- ARGV: what, operation, names (JSON), left, hash
local challenge_key = KEYS[1]
local what, operation, names = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local left, hash = tonumber(ARGV[4]), ARGV[5]

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge then
  return 0
end

local changed = 0
local repeats = challenge.proof and challenge.proof.repeats or {}
for place, one in ipairs(repeats) do
  if one.op == operation then
    one.at = 0
    if what ~= "other" then
      table.remove(repeats, place)
      challenge.proof.repeats = #repeats > 0 and repeats or nil
    end
    changed = 1
    break
  end
end
for _, name in ipairs(names) do
  local guess = challenge.asked and challenge.asked[name]
  if guess and guess.op == operation and what == "wrong" then
    guess.left, guess.hash = left, hash
    changed = 1
  elseif guess and guess.op == operation and what == "unchecked" then
    guess.unchecked = true
    changed = 1
  end
end
if changed == 1 then
  redis.call("SET", challenge_key, cjson.encode(challenge), "KEEPTTL")
end
return changed
