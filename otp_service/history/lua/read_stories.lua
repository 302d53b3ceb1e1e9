-- Reads stories. Returns the text of each, or "".
-- KEYS: story, ...
-- ARGV: none
local texts = {}

for place, story_key in ipairs(KEYS) do
  texts[place] = redis.call("GET", story_key) or ""
end
return texts
