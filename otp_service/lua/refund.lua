-- Takes a charge back when what it was for did not happen.
local log_key, operation = KEYS[1], ARGV[1]

return redis.call("ZREM", log_key, operation)
