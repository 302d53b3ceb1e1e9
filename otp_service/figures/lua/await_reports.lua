-- Counts the messages of accounts and channels since the last report about any of them, from notes of one process.
-- A name is followed from its first report on: an account whose reports never came tells nothing by their absence.
-- The value of a name is "COUNT SINCE", the messages and when the first of them was counted.
-- KEYS: awaited
-- ARGV: ttl, name, sent, reported ("1" or ""), ...
-- include: now
local awaited_key, ttl = KEYS[1], ARGV[1]

for at = 2, #ARGV, 3 do
  local name, sent, reported = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2] == "1"
  if reported then
    redis.call("HSET", awaited_key, name, "0 0")
  else
    local known = redis.call("HGET", awaited_key, name)
    if known then
      local count, since = string.match(known, "^(%d+) (%d+)$")
      if count == "0" then since = string.format("%.0f", now) end
      redis.call("HSET", awaited_key, name, string.format("%.0f %s", count + sent, since))
    end
  end
end
if redis.call("EXISTS", awaited_key) == 1 then
  redis.call("PEXPIRE", awaited_key, ttl)
end
return 1
