-- Reads fields of the policy: "head" (the version in force) or versions ("v12"). Returns their values, false for none.
-- KEYS: policy
-- ARGV: field, ...
local key = KEYS[1]

return redis.call("HMGET", key, unpack(ARGV))
