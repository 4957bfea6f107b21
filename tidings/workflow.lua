-- Counts the bar of a workflow in the step that stores a leaf's event, and ends the workflow
-- behind its last leaf (docs/adr/0008). A part of append.lua: uses what stands above it there, and is called
-- behind the commit, so nothing it meets may stop the append.
--
-- wf:<id> has done and whole (units), planned, announced, settled, failed, cancelled (leaves), cut, shown (per
-- mille); and for each leaf `l:<replacement it came by>/<place>` = "<attempt> <units done> <leaves come in> <over>
-- <replacement>". What was published under a replacement that was given up since finds another token there.
-- An event's at = { workflow, place, units, whole, planned, hosts { place, attempt, token, kept, more }… }

local KEPT = { 'done', 'planned', 'announced', 'settled', 'failed', 'cancelled', 'cut', 'shown' }
local UNITS = 1000000

local function whole_number(x) return string.format('%.0f', x) end
local function decimal(x) return (string.gsub(string.gsub(string.format('%.6f', x), '0+$', ''), '%.$', '')) end

local function leaf_of(field, text)
  local attempt, done, more, over, token = string.match(text or '', '^(%d+) (%d+) (%d+) ([01]) (.*)$')
  return {
    field = field, attempt = tonumber(attempt or 0), done = tonumber(done or 0), more = tonumber(more or 0),
    over = over == '1', token = token or '', text = text
  }
end

-- Reads a workflow's counts, and the leaf at a place with all that it replaces a part of, nearest first.
local function workflow_of(id, at)
  local key, fields = namespace .. 'wf:' .. id, { unpack(KEPT) }
  local hosts = at and at[6] or {}
  for i = 0, at and #hosts or -1 do
    local place = i == 0 and at[2] or hosts[i][1]
    fields[#fields + 1] = 'l:' .. (hosts[i + 1] and hosts[i + 1][3] or '') .. '/' .. place
  end
  local said = redis.call('HMGET', key, unpack(fields))
  local w = { id = id, key = key, leaves = {}, is_new = not said[2], gave_back = 0 }
  for i, name in ipairs(KEPT) do w[name] = tonumber(said[i] or 0) end
  for i = #KEPT + 1, #fields do w.leaves[#w.leaves + 1] = leaf_of(fields[i], said[i]) end
  if at then
    w.whole = at[4]
    if w.is_new then w.planned = at[5] end
  end
  return w
end

local function keep_workflow(w)
  local changed = {}
  for _, name in ipairs(KEPT) do
    changed[#changed + 1] = name
    changed[#changed + 1] = whole_number(w[name])
  end
  for _, leaf in ipairs(w.leaves) do
    local text = string.format(
      '%.0f %.0f %.0f %s %s', leaf.attempt, leaf.done, leaf.more, leaf.over and '1' or '0', leaf.token)
    if text ~= leaf.text then
      changed[#changed + 1] = leaf.field
      changed[#changed + 1] = text
    end
  end
  if w.is_new then
    changed[#changed + 1] = 'whole'
    changed[#changed + 1] = whole_number(w.whole)
  end
  redis.pcall('HSET', w.key, unpack(changed))
  if w.is_new then redis.pcall('EXPIRE', w.key, running_ttl_s) end
end

-- Adds to a leaf, to all that it replaces a part of, and to the whole.
local function add(w, i, units, more)
  for above = i, #w.leaves do
    w.leaves[above].done = w.leaves[above].done + units
    w.leaves[above].more = w.leaves[above].more + more
  end
  w.done, w.planned = w.done + units, w.planned + more
  if units < 0 then w.gave_back = w.gave_back - units end
end

-- Lets an attempt at a leaf begin, if it is later than what is known: what the one before had, and what
-- replaced it, is given back.
local function begin(w, i, attempt)
  local leaf = w.leaves[i]
  if attempt <= leaf.attempt then return end
  add(w, i, -leaf.done, -leaf.more)
  leaf.attempt, leaf.token = attempt, ''
end

-- Lets all that a leaf replaces a part of be replaced; tells whether this is still what replaces it.
local function adopt(w, hosts)
  for i = #hosts, 1, -1 do
    local _, attempt, token, kept, more = unpack(hosts[i])
    local host = w.leaves[i + 1]
    begin(w, i + 1, attempt)
    if host.over or attempt < host.attempt or (host.token ~= '' and host.token ~= token) then return false end
    if host.token == '' then
      add(w, i + 1, kept - host.done, more)
      host.token = token
    end
  end
  return true
end

-- Counts what a leaf says of itself.
local function count(w, e)
  local leaf, attempt, units = w.leaves[1], e.attempt, e.at[3]
  if not adopt(w, e.at[6]) or leaf.over then return end
  if e.condition ~= 'begin' and e.type ~= 'progress' and e.effect ~= 'ends' then return end
  if e.effect == 'ends' then attempt = math.max(attempt, leaf.attempt) end -- the log took it: it is the end
  if attempt < leaf.attempt then return end
  begin(w, 1, attempt)
  if e.type == 'progress' and leaf.token == '' then
    add(w, 1, math.max(0, math.min(e.units, units) - leaf.done), 0)
  elseif e.type == 'complete' then
    add(w, 1, units - leaf.done, -leaf.more)
    leaf.token = ''
  end
  leaf.over = e.effect == 'ends'
end

-- Says something of a workflow, at the time of the event that it follows from.
local function say(w, e, event)
  event.topics = { 'operations:' .. w.id, 'workflows:' .. w.id }
  event.condition, event.run, event.attempt = 'any', '', 1
  event.data = string.format(
    '{"operationId":%s,"operationType":"workflow","workflowId":%s,"timestamp":%s,"attempt":1,%s}',
    quoted(w.id), quoted(w.id), quoted(string.match(e.data, '"timestamp":"([^"]*)"') or ''), event.data)
  return store(event)
end

local function show(w, e, per_mille)
  w.shown = per_mille
  local said = string.format('"current":%s,"total":%s,"percentage":%s',
    decimal(w.done / UNITS), decimal(w.whole / UNITS), decimal(per_mille / 10))
  if w.gave_back > 0 then
    said = said .. string.format(',"gaveBack":%s,"retried":%s', decimal(w.gave_back * 100 / w.whole), quoted(e.id))
  end
  say(w, e, { type = 'progress', data = said })
end

-- 100 is shown with the end only.
local function per_mille(w)
  if w.done >= w.whole then return 999 end
  return math.min(999, math.floor(w.done * 1000 / w.whole))
end

local function finish(w, e, status, data)
  say(w, e, { type = 'status', status = status, data = '"status":"' .. status .. '"' })
  local event = { type = status == 'succeeded' and 'complete' or 'error', status = status, effect = 'ends' }
  event.data = data
  say(w, e, event)
  redis.pcall('EXPIRE', w.key, state_ttl_s)
end

local function fail(w, e, status, code, message)
  finish(w, e, status, string.format('"code":"%s","message":"%s","terminal":true', code, message))
end

-- Ends a workflow of which no leaf is live and none is to come.
local function settle(w, e)
  if w.announced == 0 or w.announced ~= w.settled then return end
  local of = ' of ' .. whole_number(w.planned) .. ' tasks '
  if w.failed > 0 then return fail(w, e, 'failed', 'failed', whole_number(w.failed) .. of .. 'failed.') end
  if w.cancelled > 0 then
    return fail(w, e, 'cancelled', 'cancelled', whole_number(w.cancelled) .. of .. 'were cancelled.')
  end
  local missing = math.max(0, w.planned - w.settled)
  if missing > 0 and w.cut == 0 then
    return fail(w, e, 'failed', 'incomplete', whole_number(missing) .. of .. 'were never sent.')
  end
  if w.done == w.whole then show(w, e, 1000) end
  finish(w, e, 'succeeded', '"result":{"tasks":' .. whole_number(w.settled)
    .. (missing > 0 and ',"skipped":' .. whole_number(missing) or '') .. '}')
end

-- Whoever publishes a workflow runs it meanwhile, and then leaves it: until then it has no end.
local function is_held(known) return known[2] and known[2] ~= known[3] end

-- Counts a leaf's event that was stored just now; tells whether the workflow is to be cancelled.
local function tally(e, was_known)
  local w = workflow_of(e.at[1], e.at)
  local known = redis.call('HMGET', namespace .. 'op:' .. w.id, 'status', 'run', 'left', 'end', 'cancel')
  if not was_known then w.announced = w.announced + 1 end
  count(w, e)
  if e.effect == 'ends' then
    w.settled = w.settled + 1
    if e.status == 'failed' then w.failed = w.failed + 1 end
    if e.status == 'cancelled' then w.cancelled = w.cancelled + 1 end
    if e.cuts then w.cut = 1 end
  end
  if known[1] and not known[4] then
    local now = per_mille(w)
    if now ~= w.shown or w.gave_back > 0 then show(w, e, now) end
    if not is_held(known) then settle(w, e) end
  end
  keep_workflow(w)
  return known[5] or known[1] == 'cancelled'
end

-- A workflow's publisher has sent all of it.
local function release(e)
  local w = workflow_of(e.id)
  if w.is_new then return end
  w.whole = tonumber(redis.call('HGET', w.key, 'whole'))
  local now = per_mille(w)
  if now ~= w.shown then show(w, e, now) end
  settle(w, e)
  keep_workflow(w)
end
