-- Lists what is due now in schedules, and says when the next open one will be (milliseconds). What is open goes before
-- what is new. Endings are left out: `list_ended` lists them.
-- Returns {now, {place of a schedule, next deadline or false, id, score, ...}, ...}, without schedules that have neither.
-- KEYS: due, ...
-- ARGV: limit
-- include: now
-- include: bands
local limit, answer = tonumber(ARGV[1]), {now}

for place, due_key in ipairs(KEYS) do
  local function range(from, to, count)
    return redis.call("ZRANGEBYSCORE", due_key, from, to, "WITHSCORES", "LIMIT", 0, count)
  end

  local found = {place, range("(" .. now, "(" .. BAND, 1)[2] or false}
  for _, part in ipairs(range(0, now, limit)) do found[#found + 1] = part end
  local left = limit - (#found - 2) / 2
  if left > 0 then
    for _, part in ipairs(range("-inf", now - BAND, left)) do found[#found + 1] = part end
  end
  if found[2] or found[3] then
    answer[#answer + 1] = found
  end
end
return answer
