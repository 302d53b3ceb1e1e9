-- Stores which challenge each token proves, with a time to live (milliseconds). Returns 1.
-- KEYS: token, ...
-- ARGV: ttl, id, ...
local ttl = ARGV[1]

for place, token_key in ipairs(KEYS) do
  redis.call("SET", token_key, ARGV[place + 1], "PX", ttl)
end
return 1
