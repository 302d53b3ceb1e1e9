-- Lists challenges that need attention now and says when the next one will (milliseconds).
-- Returns {now, next deadline or false, id, since when...}.
local due_key = KEYS[1]
local offset, limit = tonumber(ARGV[1]), tonumber(ARGV[2])

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000) + offset

local answer = redis.call("ZRANGEBYSCORE", due_key, "-inf", now, "WITHSCORES", "LIMIT", 0, limit)
local after = "(" .. string.format("%d", now)
local following = redis.call("ZRANGEBYSCORE", due_key, after, "+inf", "WITHSCORES", "LIMIT", 0, 1)
table.insert(answer, 1, following[2] or false)
table.insert(answer, 1, now)
return answer
