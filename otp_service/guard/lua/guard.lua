-- Decides about a send, and charges it to all lines or to none. `act` is "charge", "preview" (changes nothing), "refund"
-- (undoes what was charged, if this `call` asked for it last), "give_back" (undoes what was charged just before `moment`) or "count" (counts what
-- happened, whatever the limits). Once per operation.
-- The plan has `call`, `keep`, `remember` and `spent` (how long ended blocks, operations and used proofs are kept), `proof`
-- (whether there is one, and how far over a threshold it is `enough` for), `cheap`, `trusted`, `destinations` and
-- `callers` (names of pins, the most exact first), `lines`, and `subjects` (of each counter, for blocks).
-- A line has `rule`, `owner`, `kind`, `on` (false: it only watches), `keys` (places in KEYS), `mark` (the first letter of
-- its fields), `of` (the app whose own rule it is; a hold applies to that app only), `cost`, and by kind: "fixed": level;
-- "listed": level; "count": tiers {level, limit, ms}, hold, and optionally `ratio` (a limit grows with what was verified),
-- `trickle` {limit, ms} (what still leaves beyond a longer window) and `from` (a network that needs to be new for it);
-- "proven": tiers and `moments` of messages that were verified; "ladder": steps and forget; "streak": most, step, longest,
-- kept; "standing": nothing more; "share": share, least, probes, within, grace, hold, longest, level, and `add` ("s" sent,
-- "v" verified) at `moment`; "clear": nothing more; "met": `from`, which counts as new again.
-- All times are milliseconds. All keys share one slot.
-- Returns {verdict, now, findings, nearest}. The verdict is allow, cheap, human_check, spent (the proof was used before)
-- or refuse. Findings are JSON of {rule, level, value, limit, ms, pause, over, on} for each line beyond a threshold;
-- nearest is {rule, limit, ms, left, pause} of the budget that refuses with the smallest share left, or null.
-- KEYS: operation, index of blocks, pins, proof, counter, ...
-- ARGV: act, plan (JSON)
-- include: now
local operation_key, index_key, pins_key, proof_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local act, plan = ARGV[1], cjson.decode(ARGV[2])
local PARTS, CONVERSION_PARTS, BLOCKS = 10, 15, 10000
local DAY, CLOSED = 86400000, 3600000 -- what only others can reopen says "in an hour"
-- A network is new again after 30 days, or once no message came for a day or two: then all is forgotten. After one day, a few
-- networks would be new in turn, and each time one of them is, an owner waits for one pause more.
local MET, NETWORKS = 30 * DAY, 256
local NEAR = 5000 -- between a charge and the message that it is for
local HEAVY = 1 -- a stopped place requires checks as heavy as one at twice its threshold

local read = {}
local function fields_of(key)
  if not read[key] then
    local flat, fields = redis.call("HGETALL", key), {}
    for at = 1, #flat, 2 do
      fields[flat[at]] = flat[at + 1]
    end
    read[key] = fields
  end
  return read[key]
end

-- Changes are collected by key, so each key is written once, however many lines share it.
local written, lives = {}, {}
local function write(key, name, value)
  fields_of(key)[name] = tostring(value)
  written[key] = written[key] or {}
  written[key][name] = true
end

local function remove(key, name)
  fields_of(key)[name] = nil
  written[key] = written[key] or {}
  written[key][name] = true
end

local function live(key, ms)
  lives[key] = math.max(lives[key] or 0, ms)
end

local function write_all()
  for key, names in pairs(written) do
    local set, gone = {}, {}
    for name in pairs(names) do
      local value = fields_of(key)[name]
      if value then
        set[#set + 1], set[#set + 2] = name, value
      else
        gone[#gone + 1] = name
      end
    end
    if #gone > 0 then redis.call("HDEL", key, unpack(gone)) end
    if #set > 0 then redis.call("HSET", key, unpack(set)) end
  end
  for key, ms in pairs(lives) do
    if redis.call("PTTL", key) < ms then redis.call("PEXPIRE", key, ms) end
  end
end

local function bucket_of(moment, ms, parts)
  return math.floor(moment / math.ceil(ms / parts))
end

-- Sums a window. A part counts until all of it has left the window. Returns the sum and the parts, the oldest first.
local function counted(fields, start, ms)
  local sum, parts = 0, {}
  if not next(fields) then return sum, parts end
  local width = math.ceil(ms / PARTS)
  for bucket = bucket_of(now - ms, ms, PARTS), bucket_of(now, ms, PARTS) do
    local figure = tonumber(fields[start .. "." .. bucket])
    if figure then
      sum = sum + figure
      parts[#parts + 1] = {(bucket + 1) * width + ms, figure}
    end
  end
  return sum, parts
end

local function room_in(sum, parts, cost, limit)
  for _, part in ipairs(parts) do
    sum = sum - part[2]
    if sum + cost <= limit then
      return part[1] - now
    end
  end
  return 1000
end

local tripped, nearest = {}, nil
local function trip(line, level, value, limit, ms, pause, over)
  tripped[#tripped + 1] = {
    line = line, rule = line.rule, level = level, value = value, limit = limit, ms = ms, pause = pause, on = line.on,
    over = over or limit > 0 and (value - limit) / limit or 0,
  }
end

local judge = {}

function judge.fixed(line)
  trip(line, line.level, 1, 0, 0, 0)
end

function judge.listed(line)
  for _, key in ipairs(line.keys) do
    if redis.call("EXISTS", KEYS[key]) == 1 then
      return trip(line, line.level, 1, 0, 0, 0)
    end
  end
end

-- Beyond a refusal that lasts, a little still leaves: for the heaviest check, and only for a network that is new here
-- of late. Who fills the windows from a few networks cannot fill this, so the pause of all others is short.
local function trickle(line, fields, sum, limit, ms, pause)
  local most, every = line.trickle[1], line.trickle[2]
  local met = tonumber(fields["w" .. (line.from or "")] or 0)
  if now < met + MET then
    return trip(line, "refuse", sum, limit, ms, pause)
  end
  local left, parts = counted(fields, line.mark .. "t" .. every, every)
  if left >= most then
    return trip(line, "refuse", sum, limit, ms, math.min(pause, room_in(left, parts, 1, most)))
  end
  line.trickles = true
  trip(line, "human_check", sum, limit, ms, pause, HEAVY)
end

function judge.count(line)
  local fields = fields_of(KEYS[line.keys[1]])
  local held = tonumber(fields[line.mark .. "h" .. line.of] or 0) - now
  if held > 0 then
    return trip(line, "refuse", 0, 0, line.hold, held)
  end
  for _, tier in ipairs(line.tiers) do
    local level, limit, ms = tier[1], tier[2], tier[3]
    if line.ratio then limit = math.max(limit, math.floor(line.ratio * counted(fields, line.mark .. "v" .. ms, ms))) end
    local sum, parts = counted(fields, line.mark .. ms, ms)
    local least = math.max(line.cost, 1) -- a line that costs nothing is full when its limit is reached
    if sum + least > limit then
      local pause = room_in(sum, parts, least, limit)
      if level == "refuse" and line.trickle and line.trickle[2] < ms then
        trickle(line, fields, sum, limit, ms, math.max(pause, line.hold))
      else
        trip(line, level, sum, limit, ms, level == "refuse" and math.max(pause, line.hold) or pause)
      end
    end
    local left = limit - sum - line.cost
    local counts = level == "refuse" and line.on and line.cost > 0
    if counts and (not nearest or left / limit < nearest.left / nearest.limit) then
      local pause = parts[1] and parts[1][1] - now or ms
      nearest = {rule = line.rule, limit = limit, ms = ms, left = left, pause = pause}
    end
  end
end

function judge.ladder(line)
  local fields = fields_of(KEYS[line.keys[1]])
  local last, sent = tonumber(fields[line.mark .. "l"] or 0), tonumber(fields[line.mark .. "n"] or 0)
  if sent > 0 and now - last < line.forget then
    local step = line.steps[math.min(sent, #line.steps)]
    local pause = last + step - now
    if pause > 0 then
      trip(line, "refuse", sent, sent, step, pause)
    end
  end
end

-- Wrong codes in a row, in no window. Each makes the pause before the next send longer; at `most` the caller's kind is
-- closed. Counters under older lookup keys move to the newest, so that a rotation forgives nothing.
function judge.streak(line)
  local key, failures, last = KEYS[line.keys[1]], 0, 0
  for place, other in ipairs(line.keys) do
    local fields = fields_of(KEYS[other])
    local found = tonumber(fields[line.mark .. "n"] or 0)
    failures, last = failures + found, math.max(last, tonumber(fields[line.mark .. "l"] or 0))
    if place > 1 and found > 0 then
      remove(KEYS[other], line.mark .. "n")
      write(key, line.mark .. "n", failures)
      write(key, line.mark .. "l", last)
      live(key, line.kept)
    end
  end
  local pause = last + math.min(failures * line.step, line.longest) - now
  if failures >= line.most then
    trip(line, "refuse", failures, line.most, 0, CLOSED)
  elseif pause > 0 then
    trip(line, "refuse", failures, 0, 0, pause)
  end
end

function judge.standing() end -- it is read before a send, and decides which kind of caller this is

function judge.clear() end

-- Judges sends ("s") that had time to be verified ("v"), and stops the place if too few were. A stop is remembered, so
-- that the next one lasts longer. Sends that were admitted ("a") but are too new to judge are in flight: only as many
-- may be as were verified in the window, or as are needed for a judgement. Without this, a burst would be over before
-- its first send can be judged. The burst may be honest, so it only has to pass a human check.
function judge.share(line)
  local key = KEYS[line.keys[1]]
  local fields, start = fields_of(key), line.mark .. line.within
  local held = tonumber(fields[line.mark .. "h" .. line.of] or 0)
  if held > now then
    return trip(line, line.level, 0, 0, line.within, held - now, HEAVY)
  end
  local first = bucket_of(math.max(now - line.within, held), line.within, CONVERSION_PARTS)
  local last = bucket_of(now - line.grace, line.within, CONVERSION_PARTS)
  local sent, verified, flying, proven = 0, 0, 0, 0
  if next(fields) then
    for bucket = first, bucket_of(now, line.within, CONVERSION_PARTS) do
      local back = tonumber(fields[start .. "v." .. bucket] or 0)
      proven = proven + back
      if bucket < last then
        sent = sent + (fields[start .. "s." .. bucket] or 0)
        verified = verified + back
      else
        flying = flying + (fields[start .. "a." .. bucket] or 0) - back
      end
    end
  end
  local before = tonumber(fields[line.mark .. "p" .. line.of] or 0)
  local lately = now - held < before + line.within
  local least = lately and math.min(line.probes, line.least) or line.least
  if lately and sent < least and flying >= line.probes then -- probes after a stop are judged before more are sent
    return trip(line, line.level, flying, line.probes, line.grace, line.grace, HEAVY)
  end
  if sent >= least and verified < line.share * sent then
    local hold = lately and math.max(line.hold, math.min(2 * before, line.longest)) or line.hold
    if line.on then -- a rule that only watches must not stop another app that enforces
      write(key, line.mark .. "h" .. line.of, now + hold) -- not written by a preview
      write(key, line.mark .. "p" .. line.of, hold)
      live(key, 2 * hold + line.within)
    end
    return trip(line, line.level, verified, sent, line.within, hold, HEAVY)
  end
  local bound = math.max(line.least, proven)
  if flying >= bound then
    trip(line, "human_check", flying, bound, line.grace, math.max(line.grace, 1000))
  end
end

-- The most exact pin that has not ended decides.
local function pinned(names)
  if #names == 0 then return nil end
  for _, found in ipairs(redis.call("HMGET", pins_key, unpack(names))) do
    local pin = found and cjson.decode(found)
    if pin and (not pin["until"] or pin["until"] > now) then
      return pin.what
    end
  end
end

-- Adds to the part of a window, and removes parts that have left it.
local function add_to_bucket(key, start, moment, ms, parts, amount)
  local fields, width = fields_of(key), math.ceil(ms / parts)
  local name = start .. "." .. bucket_of(moment, ms, parts)
  if not fields[name] then
    for other in pairs(fields) do
      local bucket = string.match(other, "^" .. start .. "%.(%d+)$")
      if bucket and (bucket + 1) * width + ms <= now then
        remove(key, other)
      end
    end
  end
  write(key, name, (fields[name] or 0) + amount)
  live(key, ms + width)
end

-- Takes one back from the part in which it was counted: a little before or after the moment that is known.
local function take_from_bucket(key, start, moment, ms)
  local fields, bucket = fields_of(key), bucket_of(moment, ms, PARTS)
  for _, at in ipairs({bucket, bucket - 1, bucket + 1}) do
    local name = start .. "." .. at
    if tonumber(fields[name] or 0) > 0 then
      return write(key, name, fields[name] - 1)
    end
  end
end

local function charge(line, moment, sign)
  if line.kind == "fixed" then return end -- it has no counter
  local key = KEYS[line.keys[1]]
  if line.kind == "ladder" then
    local fields = fields_of(key)
    local last, sent = fields[line.mark .. "l"] or "0", tonumber(fields[line.mark .. "n"] or 0)
    if sign < 0 then
      write(key, line.mark .. "n", math.max(0, sent - 1))
      if tonumber(last) <= moment and moment - tonumber(last) < NEAR then write(key, line.mark .. "l", fields[line.mark .. "b"] or 0) end
      return
    end
    sent = now - tonumber(last) < line.forget and sent or 0
    write(key, line.mark .. "n", sent + 1)
    write(key, line.mark .. "b", last)
    write(key, line.mark .. "l", now)
    live(key, line.forget)
  elseif line.kind == "count" and line.cost ~= 0 then
    local seen = {}
    for _, tier in ipairs(line.tiers) do
      local ms = tier[3]
      if not seen[ms] then
        seen[ms] = true
        add_to_bucket(key, line.mark .. ms, moment, ms, PARTS, sign * line.cost)
      end
    end
  elseif line.kind == "share" then -- "a": the send is admitted
    local what, at = line.add or "a", line.moment or moment
    add_to_bucket(key, line.mark .. line.within .. what, at, line.within, CONVERSION_PARTS, sign)
  elseif line.kind == "proven" then
    local seen = {}
    for _, tier in ipairs(line.tiers) do
      local ms = tier[3]
      if not seen[ms] then
        seen[ms] = true
        for _, sent_at in ipairs(line.moments) do take_from_bucket(key, line.mark .. ms, sent_at, ms) end
        if line.ratio then add_to_bucket(key, line.mark .. "v" .. ms, moment, ms, PARTS, 1) end
      end
    end
  elseif line.kind == "streak" and line.cost > 0 then
    write(key, line.mark .. "n", (fields_of(key)[line.mark .. "n"] or 0) + 1)
    write(key, line.mark .. "l", now)
    live(key, line.kept)
  elseif line.kind == "standing" then
    write(key, line.mark .. "n", math.max(0, (fields_of(key)[line.mark .. "n"] or 0) + sign))
    live(key, DAY)
  elseif line.kind == "clear" then
    for _, place in ipairs(line.keys) do
      for name in pairs(fields_of(KEYS[place])) do
        if string.sub(name, 1, #line.mark) == line.mark then remove(KEYS[place], name) end
      end
    end
  elseif line.kind == "met" then
    remove(key, "w" .. line.from)
  end
end

-- Forgets networks that were met too long ago, and of too many the one that was met first.
local function forget_networks(key)
  local count, first, oldest = 0, math.huge, nil
  for name, at in pairs(fields_of(key)) do
    if string.sub(name, 1, 1) == "w" then
      count = count + 1
      if tonumber(at) < first then first, oldest = tonumber(at), name end
      if now >= at + MET then remove(key, name) end
    end
  end
  if count >= NETWORKS then remove(key, oldest) end
end

-- Counts what left beyond a refusal, and marks the network as met now. Returns the marks of such lines, and when the
-- network was met before.
local function charge_trickles()
  local marks, met = "", nil
  for _, line in ipairs(plan.lines) do
    local key = line.trickle and KEYS[line.keys[1]]
    if line.trickles then
      marks = marks .. line.mark
      add_to_bucket(key, line.mark .. "t" .. line.trickle[2], now, line.trickle[2], PARTS, 1)
    end
    if not met and line.trickle and (line.from or "") ~= "" then -- lines with a network share their key
      met = tonumber(fields_of(key)["w" .. line.from] or 0)
      forget_networks(key)
      write(key, "w" .. line.from, now)
      live(key, DAY)
    end
  end
  return marks, met or 0
end

local function refund_trickles(charged, marks, met)
  for _, line in ipairs(plan.lines) do
    local key = line.trickle and KEYS[line.keys[1]]
    if key and string.find(marks, line.mark, 1, true) then
      add_to_bucket(key, line.mark .. "t" .. line.trickle[2], charged, line.trickle[2], PARTS, -1)
    end
    if key and tonumber(fields_of(key)["w" .. (line.from or "")] or 0) == charged then
      write(key, "w" .. line.from, met)
    end
  end
end

local charged_at, charged_as, charged_by, charged_marks, charged_met =
  string.match(redis.call("GET", operation_key) or "", "^(%d+) (%l+) (%S*) (%l*) (%d*)$")
if act == "count" then
  if not charged_at then
    for _, line in ipairs(plan.lines) do charge(line, now, 1) end
    redis.call("SET", operation_key, now .. " added   ", "PX", plan.remember)
    write_all()
  end
  return {"added", now, "[]", "null"}
end
if act == "give_back" then
  if not charged_at then
    for _, line in ipairs(plan.lines) do charge(line, plan.moment, -1) end
    redis.call("SET", operation_key, now .. " back   ", "PX", plan.remember)
    write_all()
  end
  return {"refunded", now, "[]", "null"}
end
if act == "refund" then
  if charged_at and charged_by == plan.call then
    for _, line in ipairs(plan.lines) do charge(line, tonumber(charged_at), -1) end
    refund_trickles(tonumber(charged_at), charged_marks, charged_met)
    redis.call("DEL", operation_key, proof_key)
    write_all()
  end
  return {"refunded", now, "[]", "null"}
end

local destination, caller = pinned(plan.destinations), pinned(plan.callers)
for _, line in ipairs(plan.lines) do
  local owner = line.owner
  local passes = destination == "allow" and owner == "destination" or caller == "allow" and owner == "caller"
  if not passes then
    judge[line.kind](line)
  end
end
if destination == "refuse" then trip({rule = "pin_destination", on = true}, "refuse", 1, 0, 0, 0) end
if caller == "refuse" then trip({rule = "pin_caller", on = true}, "refuse", 1, 0, 0, 3600000) end

local asked, over = {}, 0
for _, one in ipairs(tripped) do
  if one.on then
    asked[one.level] = true
    if one.level == "human_check" then over = math.max(over, one.over) end
  end
end
local verdict = "allow"
if charged_at then
  verdict = charged_as -- a repetition after a lost reply, or another request with the same operation
elseif asked.refuse or asked.cheap and not plan.cheap then
  verdict = "refuse"
elseif asked.human_check and not plan.trusted and (not plan.proof or over > plan.enough) then
  verdict = "human_check"
elseif asked.human_check and not plan.trusted and redis.call("EXISTS", proof_key) == 1 then
  verdict = "spent"
elseif asked.cheap then
  verdict = "cheap"
end

-- A line may be beyond several thresholds: its block shows the strictest level, then the longest pause.
local function weighs_more(one, other)
  local rank = {human_check = 1, cheap = 2, refuse = 3}
  if one.level ~= other.level then return rank[one.level] > rank[other.level] end
  return one.pause > other.pause
end

local function keep_block(one, passed)
  local line, key = one.line, KEYS[one.line.keys[1]]
  local fields, name = fields_of(key), line.mark .. "block"
  if line.on and line.kind == "count" and line.hold > 0 and one.level == "refuse" then
    write(key, line.mark .. "h" .. line.of, now + one.pause)
  end
  local stored = fields[name] and cjson.decode(fields[name])
  local block = stored and stored["until"] + plan.keep > now and stored or {
    since = now, refused = 0, who = plan.subjects[line.keys[1] - 4],
  }
  if one.limit > 0 then block.value, block.limit, block.ms = one.value, one.limit, one.ms end
  block.level, block.on = one.level, one.on
  block["until"] = now + one.pause
  if one.on and not passed then block.refused = block.refused + 1 end
  write(key, name, cjson.encode(block))
  live(key, block["until"] - now + plan.keep)
  redis.call("ZADD", index_key, block["until"], line.rule .. string.sub(key, #index_key - 6))
end

-- The newest call of an operation owns its charge, so that an older one that failed takes nothing from it.
if act == "charge" and charged_at then
  local record = table.concat({charged_at, charged_as, plan.call, charged_marks, charged_met}, " ")
  redis.call("SET", operation_key, record, "PX", plan.remember)
end
if act == "charge" and not charged_at then
  local passed = verdict == "allow" or verdict == "cheap"
  if passed then
    for _, line in ipairs(plan.lines) do charge(line, now, 1) end
    local marks, met = charge_trickles()
    local record = table.concat({now, verdict, plan.call, marks, met}, " ")
    redis.call("SET", operation_key, record, "PX", plan.remember)
    if plan.proof then redis.call("SET", proof_key, 1, "PX", plan.spent) end
  end
  local most = {}
  for _, one in ipairs(tripped) do
    local line = one.line
    if line.mark and (not most[line] or weighs_more(one, most[line])) then
      most[line] = one
    end
  end
  if next(most) then
    for _, one in pairs(most) do keep_block(one, passed) end
    redis.call("ZREMRANGEBYSCORE", index_key, "-inf", now - plan.keep)
    redis.call("ZREMRANGEBYRANK", index_key, 0, -BLOCKS - 1)
    redis.call("PEXPIRE", index_key, 86400000 + plan.keep)
  end
  write_all()
end
for _, one in ipairs(tripped) do one.line = nil end
return {verdict, now, #tripped > 0 and cjson.encode(tripped) or "[]", nearest and cjson.encode(nearest) or "null"}
