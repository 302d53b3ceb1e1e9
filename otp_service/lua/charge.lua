-- Charges one act to a log of acts, against all of its windows or none. Once per operation id.
-- ARGV after the operation: limit and milliseconds of each window, longest last.
-- Returns {"charged", 0}, or {"refused", milliseconds until it would pass}.
local log_key = KEYS[1]
local offset, operation = tonumber(ARGV[1]), ARGV[2]

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000) + offset

local longest = tonumber(ARGV[#ARGV])
redis.call("ZREMRANGEBYSCORE", log_key, "-inf", now - longest)
if redis.call("ZSCORE", log_key, operation) then
  return {"charged", 0}
end
local pause = 0
for at = 3, #ARGV, 2 do
  local limit, window = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  -- the act that must leave the window before another fits in
  local blocking = redis.call("ZREVRANGE", log_key, limit - 1, limit - 1, "WITHSCORES")
  if blocking[2] then
    pause = math.max(pause, blocking[2] + window - now)
  end
end
if pause > 0 then
  return {"refused", pause}
end
redis.call("ZADD", log_key, now, operation)
redis.call("PEXPIRE", log_key, longest)
return {"charged", 0}
