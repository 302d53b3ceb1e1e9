-- Appends lines to stories, and counts their bytes by the hour in which each story began. A story that
-- begins with `hour` ("c" for a challenge or "r" for a refused send, then the hour) is kept for `life` milliseconds after
-- its last line. One whose beginning is not written yet, so that `hour` is "", is kept for `brief` and not counted. A story
-- grows to `most` bytes. A call that is repeated after a lost reply appends twice: whoever reads a story passes over equal lines.
-- Returns the bytes that were counted.
-- KEYS: bytes, story, ...
-- ARGV: life, brief, most, hour, lines, cost, ...
local life, brief, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local HEAD, UNKNOWN = 7, "x000000"
local counted = 0

for place = 1, #KEYS, 2 do
  local bytes_key, story_key, at = KEYS[place], KEYS[place + 1], 4 + 3 * (place - 1) / 2
  local hour, lines, cost = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local story = redis.call("GET", story_key) or ""
  local size, begun = #story, string.sub(story, 1, HEAD)
  if size + #lines <= most then
    local added = #lines + cost
    if size == 0 then
      begun = hour ~= "" and hour or UNKNOWN
    elseif hour ~= "" and begun == UNKNOWN then
      begun = hour
      added = size - HEAD + added
    end
    local whole = begun .. string.sub(story, HEAD + 1) .. lines -- APPEND would reserve twice the memory
    redis.call("SET", story_key, whole, "PX", begun == UNKNOWN and brief or life)
    if begun ~= UNKNOWN then
      redis.call("HINCRBY", bytes_key, begun, added)
      redis.call("PEXPIRE", bytes_key, life)
      counted = counted + added
    end
  end
end
return counted
