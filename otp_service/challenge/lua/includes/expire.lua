-- Ends a challenge whose time is over and returns its record. If its app has to be told, it stays among the endings, due at once.
-- The operation id identifies the call that ended it.
-- Needs `now`, `bands` and `end_deliveries`.
local function expire(challenge, challenge_key, due_key, id, operation)
  local arrived, sent = {accepted = true, unknown = true, sent = true, delivered = true, read = true}, false
  end_deliveries(challenge)
  for _, delivery in ipairs(challenge.deliveries) do
    sent = sent or arrived[delivery.status]
  end
  local exhausted = #(challenge.attempts or {}) >= challenge.guesses
  challenge.state = exhausted and "exhausted" or sent and "expired" or "undeliverable"
  challenge.op = operation
  local record = cjson.encode(challenge)
  redis.call("SET", challenge_key, record, "KEEPTTL")
  if challenge.watched then
    redis.call("ZADD", due_key, now + BAND, id)
  else
    redis.call("ZREM", due_key, id)
  end
  return record
end
