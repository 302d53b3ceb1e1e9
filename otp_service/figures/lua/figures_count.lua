-- Adds a batch to the counters of one hour or day. A writer numbers its batches and writes one after the other, so a batch
-- that comes again counts once. Once there are `most` names, a new one is counted among the others of its kind.
-- Returns 1, or 0 if the batch was counted before.
-- KEYS: counters, written (the number of the writer's last batch)
-- ARGV: batch, ttl, ttl of `written`, most, name, count, ...
local counters_key, written_key = KEYS[1], KEYS[2]
local batch, ttl, written_ttl, most = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])

if tonumber(redis.call("GET", written_key) or "0") >= batch then
  return 0
end
local names = redis.call("HLEN", counters_key)
for at = 5, #ARGV, 2 do
  local name = ARGV[at]
  if redis.call("HEXISTS", counters_key, name) == 0 then
    if names >= most then
      name = string.match(name, "^[^|]*|[^|]*") .. "|*|*|*|*|*|*"
    end
    names = names + 1
  end
  redis.call("HINCRBY", counters_key, name, ARGV[at + 1])
end
redis.call("PEXPIRE", counters_key, ttl)
redis.call("SET", written_key, batch, "PX", written_ttl)
return 1
