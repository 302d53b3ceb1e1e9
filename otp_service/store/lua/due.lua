-- Lists what is due now and says when the next one will be (milliseconds).
-- Returns {now, next deadline or false, id, due since, ...}.
-- KEYS: due
-- ARGV: limit
-- include: now
local due_key = KEYS[1]
local limit = tonumber(ARGV[1])

local answer = redis.call("ZRANGEBYSCORE", due_key, "-inf", now, "WITHSCORES", "LIMIT", 0, limit)
local after = "(" .. string.format("%d", now)
local following = redis.call("ZRANGEBYSCORE", due_key, after, "+inf", "WITHSCORES", "LIMIT", 0, 1)
table.insert(answer, 1, following[2] or false)
table.insert(answer, 1, now)
return answer
