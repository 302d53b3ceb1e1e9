-- Records that a session verified a number. The newest `most` sessions of the number are kept, each for `ms`.
-- KEYS: sessions of the number
-- ARGV: session, ms, most
-- include: now
local session, ms, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

redis.call("HSET", KEYS[1], session, now)
redis.call("PEXPIRE", KEYS[1], ms)
local stored, met = redis.call("HGETALL", KEYS[1]), {}
for place = 1, #stored, 2 do
  met[#met + 1] = { session = stored[place], at = tonumber(stored[place + 1]) }
end
table.sort(met, function(one, other) return one.at > other.at end)
for place, one in ipairs(met) do
  if place > most or one.at + ms <= now then redis.call("HDEL", KEYS[1], one.session) end
end
return #met
