-- Appends ids to the list of an hour. A call that is repeated after a lost reply appends twice: whoever reads passes over
-- ids that came already. Returns 1.
-- KEYS: list
-- ARGV: life, id, ...
local list_key, life = KEYS[1], ARGV[1]

for at = 2, #ARGV do
  redis.call("RPUSH", list_key, ARGV[at])
end
redis.call("PEXPIRE", list_key, life)
return 1
