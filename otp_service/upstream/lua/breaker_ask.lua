-- Asks whether a request may pass all of these breakers. When an open breaker's time is over, one caller in each lease
-- may pass as a probe.
-- Returns {"closed" | "probe" | "open", milliseconds until the next probe, 1 if any fault is recorded}.
-- KEYS: breaker, ...
-- ARGV: lease
-- include: now
local lease = tonumber(ARGV[1])

local pause, known, halves = 0, 0, {}
for _, key in ipairs(KEYS) do
  local stored = redis.call("GET", key)
  if stored then
    known = 1
    local breaker = cjson.decode(stored)
    if breaker.ends then
      pause = math.max(pause, breaker.ends - now, (breaker.probe or 0) - now)
      halves[key] = breaker
    end
  end
end
if pause > 0 then
  return {"open", pause, known}
end
local answer = "closed"
for key, breaker in pairs(halves) do
  breaker.probe = now + lease
  redis.call("SET", key, cjson.encode(breaker), "KEEPTTL")
  answer = "probe"
end
return {answer, 0, known}
