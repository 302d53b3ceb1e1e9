-- Reads stories. Returns the text of each, or "". Of one that lacks what is wanted only the beginning is returned, with
-- the time of its first line. `wanted` is a JSON list of lists of texts: a story contains one text of each list.
-- KEYS: story, ...
-- ARGV: wanted
local wanted = cjson.decode(ARGV[1])
local BEGINNING = 40
local texts = {}

local function fits(text)
  for _, either in ipairs(wanted) do
    local found = false
    for _, part in ipairs(either) do
      found = found or string.find(text, part, 1, true)
    end
    if not found then
      return false
    end
  end
  return true
end

for place, story_key in ipairs(KEYS) do
  local text = redis.call("GET", story_key) or ""
  texts[place] = fits(text) and text or string.sub(text, 1, BEGINNING)
end
return texts
