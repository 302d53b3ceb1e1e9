-- Writes what one process reports, forgets processes that reported nothing for too long, and returns all reports.
-- Without a name nothing is written. Returns {name, report, ...}. Times are milliseconds.
-- KEYS: followers
-- ARGV: name or "", report, ttl
-- include: now
local followers_key = KEYS[1]
local own_name, own_report, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])

if own_name ~= "" then
  redis.call("HSET", followers_key, own_name, string.format("%.0f %s", now + ttl, own_report))
  redis.call("PEXPIRE", followers_key, ttl)
end
local found, alive = redis.call("HGETALL", followers_key), {}
for place = 1, #found, 2 do
  local ends, report = found[place + 1]:match("^(%d+) (.*)$")
  if tonumber(ends) <= now then
    redis.call("HDEL", followers_key, found[place])
  else
    alive[#alive + 1], alive[#alive + 2] = found[place], report
  end
end
return alive
