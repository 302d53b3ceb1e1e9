-- Ends a pending challenge as verified or cancelled, and with it its deliveries and codes. Only one caller ends it; the
-- operation id identifies that caller. A caller with an Idempotency-Key also gives a `proof` (JSON: `key`, the name of
-- its guess, and `kid`). Until the token's `life` (milliseconds) ends, the same key gets the same token; the hash of the
-- code that it must repeat is kept. The token's times are whole seconds.
-- Returns {"done", now, challenge} or {"gone", now}.
-- KEYS: due, challenge
-- ARGV: app, id, operation, state, via, proof, life, wake
-- include: now
-- include: end_deliveries
local due_key, challenge_key = KEYS[1], KEYS[2]
local app, id, operation, state, via = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local proof, life, wake = ARGV[6] ~= "" and cjson.decode(ARGV[6]), tonumber(ARGV[7]), ARGV[8]

local stored = redis.call("GET", challenge_key)
local challenge = stored and cjson.decode(stored)
if not challenge or challenge.app ~= app then
  return {"gone", now}
end
if challenge.state == state and challenge.op == operation then
  return {"done", now, stored}
end
if challenge.state or now >= challenge.expires then
  return {"gone", now}
end
if state == "cancelled" and #(challenge.attempts or {}) >= challenge.guesses then
  return {"gone", now} -- exhausted, but the last guess may still be being checked
end
challenge.state = state
challenge.op = operation
challenge.via = tonumber(via)
local winner = proof and challenge.deliveries[challenge.via + 1]
local hash = winner and winner.hash
end_deliveries(challenge)
if winner then
  winner.hash = hash
  proof.ends = math.floor(now / 1000) * 1000 + life
  challenge.proof = proof
end
stored = cjson.encode(challenge)
redis.call("SET", challenge_key, stored, "KEEPTTL")
if proof and redis.call("PTTL", challenge_key) < life then
  redis.call("PEXPIRE", challenge_key, life)
end
if challenge.watched then
  redis.call("ZADD", due_key, now, id) -- its app has to be told
  redis.call("PUBLISH", wake, id)
elseif not challenge.owed then
  redis.call("ZREM", due_key, id)
end
return {"done", now, stored}
