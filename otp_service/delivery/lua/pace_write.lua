-- Records what waits for a worker and how fast it works, and forgets workers that have been silent for `life`
-- (milliseconds).
-- Returns now.
-- KEYS: pace
-- ARGV: worker, figures, life
-- include: now
local pace_key = KEYS[1]
local worker, figures, life = ARGV[1], ARGV[2], tonumber(ARGV[3])

local known = redis.call("HGETALL", pace_key)
for at = 1, #known, 2 do
  if tonumber(string.match(known[at + 1], "^%d+")) < now - life then
    redis.call("HDEL", pace_key, known[at])
  end
end
redis.call("HSET", pace_key, worker, now .. " " .. figures)
redis.call("PEXPIRE", pace_key, life)
return now
