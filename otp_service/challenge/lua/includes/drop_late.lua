-- Drops the newest delivery, which has not left and would leave too little time to type its code. The challenge is
-- undeliverable unless an earlier message may have arrived. `is_charged`: the guard charged the delivery, so that this charge
-- is `owed` until it is given back. If it is not, the operation id identifies the call that ended the challenge. Needs `now`,
-- `bands` and `end_deliveries`.
local function drop_late(challenge, challenge_key, due_key, id, is_charged, operation)
  local deliveries, never = challenge.deliveries, {superseded = 1, not_sent = 1, refused = 1, failed = 1}
  local last, may_have_come = deliveries[#deliveries], false
  last.status, last.reason = "not_sent", "too_late"
  challenge.lease = nil
  for _, delivery in ipairs(deliveries) do
    may_have_come = may_have_come or not never[delivery.status]
  end
  if not may_have_come then
    challenge.state = "undeliverable"
    challenge.op = not is_charged and operation or nil
    end_deliveries(challenge)
  end
  if is_charged then
    challenge.owed = #deliveries - 1
  end
  redis.call("SET", challenge_key, cjson.encode(challenge), "KEEPTTL")
  if is_charged or challenge.state and challenge.watched then
    redis.call("ZADD", due_key, now + BAND, id)
  elseif challenge.state then
    redis.call("ZREM", due_key, id)
  else
    redis.call("ZADD", due_key, challenge.expires + BAND, id)
  end
end
