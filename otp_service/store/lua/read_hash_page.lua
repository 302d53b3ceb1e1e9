-- Reads some fields of a hash: about `count`, from `cursor`. A field may come twice. A small hash comes whole.
-- Returns {next cursor, {field, value, ...}}; the next cursor is "0" at the end.
-- KEYS: hash
-- ARGV: cursor, count
local hash_key, cursor, count = KEYS[1], ARGV[1], ARGV[2]

return redis.call("HSCAN", hash_key, cursor, "COUNT", count)
