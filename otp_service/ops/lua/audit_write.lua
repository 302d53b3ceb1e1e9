-- Writes down an act, at a moment of its own, and drops those that are older than `keep` milliseconds or beyond `most`.
-- KEYS: acts
-- ARGV: act, keep, most
-- include: now
local acts_key, act, keep, most = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local newest = redis.call("ZREVRANGE", acts_key, 0, 0, "WITHSCORES")
local at = math.max(now, (tonumber(newest[2]) or 0) + 1)
redis.call("ZADD", acts_key, "NX", at, act)
redis.call("ZREMRANGEBYSCORE", acts_key, "-inf", now - keep)
redis.call("ZREMRANGEBYRANK", acts_key, 0, -1 - most)
redis.call("PEXPIRE", acts_key, keep)
return 1
