-- Counts the bar of a workflow in the step that stores a leaf's event, and ends the workflow
-- behind its last leaf (docs/adr/0008). A part of append.lua: uses what stands above it there, and is called
-- behind the commit, so nothing it meets may stop the append.
--
-- wf:<id> has done and whole (units), planned, announced, settled, failed, cancelled (leaves), cut, shown (per
-- mille), began (ms, when the first of them did), replaced (operations that left their work to others), what a leaf has said that it ends with (word, and its status in worded),
-- and the operation that failed first (culprit); and for each leaf `l:<replacement it came by>/<place>` = "<attempt> <units done> <leaves come in> <state>
-- <replacement>"; state: 0 live, 1 over, 2 left to what replaces it. What was published under a replacement that was given up since finds another token there.
-- An event's at = { workflow, place, units, whole, planned, hosts { place, attempt, token, kept, more }… }

local KEPT = { 'done', 'planned', 'announced', 'settled', 'failed', 'cancelled', 'cut', 'shown', 'began' }
local UNITS = 1000000
local SETTLED_MS, WIDEST = 1000, 4 -- as in tidings/estimate.py

local function whole_number(x) return string.format('%.0f', x) end
local function decimal(x) return (string.gsub(string.gsub(string.format('%.6f', x), '0+$', ''), '%.$', '')) end

local function leaf_of(field, text)
  local attempt, done, more, state, token = string.match(text or '', '^(%d+) (%d+) (%d+) ([012]) (.*)$')
  return {
    field = field, attempt = tonumber(attempt or 0), done = tonumber(done or 0), more = tonumber(more or 0),
    over = state == '1', left = state == '2', token = token or '', text = text or false
  }
end

-- Tells whether nothing more is to come of a leaf by itself: it has ended, or others do its work.
local function rests(leaf) return leaf.over or leaf.left end

-- Names the place of the part that goes on as the operation of what was replaced: of a it is a~1, of that a~2.
local function stand_in_of(place)
  local base, nesting = string.match(place, '^(.*)~(%d+)$')
  return (base or place) .. '~' .. whole_number(tonumber(nesting or 0) + 1)
end

-- Has a leaf stand under the replacement that is known of its host: each delivery of a message may replace its task,
-- and what goes on as its operation is one leaf. Tells whether there was another.
local function stands_elsewhere(w, at)
  local hosts = at[6]
  for i = #hosts, 1, -1 do
    local host, known = hosts[i], w.leaves[i + 1]
    local place = i == 1 and at[2] or hosts[i - 1][1]
    if known.token ~= '' and known.token ~= host[3] and known.attempt == host[2] and place == stand_in_of(host[1]) then
      host[3] = known.token
      return true
    end
  end
  return false
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
  for i = #KEPT + 1, #fields do
    local leaf = leaf_of(fields[i], said[i])
    leaf.rested = rests(leaf)
    w.leaves[#w.leaves + 1] = leaf
  end
  if at then
    if stands_elsewhere(w, at) then return workflow_of(id, at) end
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
      '%.0f %.0f %.0f %s %s', leaf.attempt, leaf.done, leaf.more, leaf.over and '1' or leaf.left and '2' or '0', leaf.token)
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

-- Counts which leaves are live, from what they were and what they are.
local function census(w)
  for _, leaf in ipairs(w.leaves) do
    if not leaf.text then w.announced = w.announced + 1 end
    w.settled = w.settled + (rests(leaf) and 1 or 0) - (leaf.rested and 1 or 0)
  end
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
  leaf.attempt, leaf.token, leaf.left = attempt, '', false
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

-- Counts what a leaf says of itself; tells whether it has a part in the workflow.
local function count(w, e)
  local leaf, attempt, units, hosts = w.leaves[1], e.attempt, e.at[3], e.at[6]
  if not adopt(w, hosts) then return false end
  if e.condition ~= 'begin' and e.type ~= 'progress' and e.effect ~= 'ends' then return true end
  begin(w, 1, attempt)
  if w.began == 0 then w.began = tonumber(now_ms()) end
  if hosts[1] and e.condition == 'begin' and e.at[2] == stand_in_of(hosts[1][1]) then
    w.leaves[2].left = true -- it took the operation over, maybe before its host could say that it leaves it
  end
  if e.type == 'progress' and leaf.token == '' then
    add(w, 1, math.max(0, math.min(e.units, units) - leaf.done), 0)
  elseif e.type == 'complete' then
    add(w, 1, units - leaf.done, -leaf.more)
    leaf.token = ''
  end
  leaf.over = e.effect == 'ends'
  return true
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

-- Says how fast a workflow goes and when it will be done: its mean rate since its first task began, and an interval
-- that is the narrower the more tasks that mean is of.
local function time_left(w)
  local passed_ms = w.began > 0 and now_ms() - w.began or 0
  local left = w.whole - w.done
  if passed_ms < SETTLED_MS or w.done <= 0 or left <= 0 then return '' end
  local rate = w.done / UNITS / passed_ms * 1000
  local factor = math.min(WIDEST, 1 + 1 / math.max(1, w.settled))
  local function told(name, s) return string.format(s < 10 and ',"%s":%.1f' or ',"%s":%.0f', name, s) end
  local s = left / UNITS / rate
  return string.format(',"rate":%.3g', rate) .. told('etaSeconds', s) .. told('etaLow', s / factor) .. told('etaHigh', s * factor)
end

local function show(w, e, per_mille)
  w.shown = per_mille
  local said = string.format('"current":%s,"total":%s,"percentage":%s',
    decimal(w.done / UNITS), decimal(w.whole / UNITS), decimal(per_mille / 10)) .. time_left(w)
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

-- Has a leaf rest whose work is done by others, all of which have been announced by now. If none has a place in the
-- workflow (a shape that is not understood), the operation keeps this one, for what goes on as it.
local function leave(w, e)
  local leaf = w.leaves[1]
  leaf.left = leaf.token ~= '' and e.attempt == leaf.attempt
  if leaf.token == '' then redis.call('HSET', e.operation, 'at', cmsgpack.pack(e.at)) end
  redis.call('HSET', w.key, 'replaced', (redis.call('HGET', w.key, 'replaced') or '') .. ' ' .. e.id)
end

-- Has a leaf's end be the end of whoever was to stand for it, too.
local function end_stand_in(w, e)
  local token, place = w.leaves[1].token, e.at[2]
  if token == '' or e.effect ~= 'ends' then return end
  local field = 'l:' .. token .. '/' .. stand_in_of(place)
  local said = redis.call('HGET', w.key, field)
  if not said then return end
  local leaf = leaf_of(field, said)
  leaf.rested = rests(leaf)
  leaf.over = true
  w.leaves[#w.leaves + 1] = leaf
end

-- Ends what was replaced by others of which none was to stand for it any more.
local function end_abandoned(w, e)
  for id in string.gmatch(redis.call('HGET', w.key, 'replaced') or '', '[^ ]+') do
    local about = redis.call('HGET', namespace .. 'op:' .. id, 'about')
    if about then
      local d = cjson.decode(about)
      store({
        topics = { 'operations:' .. id, 'workflows:' .. w.id }, condition = 'any', run = '', attempt = e.attempt,
        type = 'error', status = 'failed', effect = 'ends',
        data = string.format(
          '{"operationId":%s,"operationType":%s,"workflowId":%s,"timestamp":%s,"attempt":%d,"code":"upstream_failed",'
          .. '"message":"A task that was to do its work failed.","terminal":true}', quoted(id), quoted(d.kind),
          quoted(w.id), quoted(string.match(e.data, '"timestamp":"([^"]*)"') or ''), e.attempt)
      })
    end
  end
end

-- Ends a workflow as a leaf has said for it, if that agrees with how its leaves ended; tells whether it did.
local function finish_by_word(w, e, status)
  local said = redis.call('HMGET', w.key, 'word', 'worded')
  if said[2] ~= status then return false end
  finish(w, e, status, said[1])
  return true
end

-- Ends a workflow of which no leaf is live and none is to come.
local function settle(w, e)
  if w.announced == 0 or w.announced ~= w.settled then return end
  end_abandoned(w, e)
  if w.failed > 0 and finish_by_word(w, e, 'failed') then return end
  local of = ' of ' .. whole_number(w.planned) .. ' tasks '
  if w.failed > 0 then
    local first = redis.call('HGET', w.key, 'culprit')
    return fail(w, e, 'failed', 'failed', whole_number(w.failed) .. of .. 'failed' .. (first and ', first ' .. first or '') .. '.')
  end
  if w.cancelled > 0 then
    return fail(w, e, 'cancelled', 'cancelled', whole_number(w.cancelled) .. of .. 'were cancelled.')
  end
  local missing = math.max(0, w.planned - w.announced)
  if missing > 0 and w.cut == 0 then
    return fail(w, e, 'failed', 'incomplete', whole_number(missing) .. of .. 'were never sent.')
  end
  if w.done == w.whole then show(w, e, 1000) end
  if finish_by_word(w, e, 'succeeded') then return end
  finish(w, e, 'succeeded', '"result":{"tasks":' .. whole_number(w.planned - missing)
    .. (missing > 0 and ',"skipped":' .. whole_number(missing) or '') .. '}')
end

-- Whoever publishes a workflow runs it meanwhile, and then leaves it: until then it has no end.
local function is_held(known) return known[2] and known[2] ~= known[3] end

-- Notes what a leaf's event means for those that follow.
local function note(w, e)
  if e.status == 'queued' and e.effect == 'leaves' then leave(w, e) end
  end_stand_in(w, e)
  if e.effect ~= 'ends' then return end
  w.leaves[1].over = true
  if e.status == 'failed' then
    w.failed = w.failed + 1
    redis.call('HSETNX', w.key, 'culprit', e.id)
  end
  if e.status == 'cancelled' then w.cancelled = w.cancelled + 1 end
  if e.cuts then w.cut = 1 end
  if e.word then redis.call('HSET', w.key, 'word', e.word, 'worded', e.status) end
end

-- Counts a leaf's event that was stored just now; tells whether the workflow is to be cancelled.
local function tally(e)
  local w = workflow_of(e.at[1], e.at)
  local known = redis.call('HMGET', namespace .. 'op:' .. w.id, 'status', 'run', 'left', 'end', 'cancel')
  if count(w, e) or w.leaves[1].text then
    note(w, e)
  else
    table.remove(w.leaves, 1) -- of a replacement that was given up before this was announced: nobody waits for it
  end
  census(w)
  if known[1] and not known[4] then
    local now, held = per_mille(w), is_held(known)
    local shows_whole = not held and w.done == w.whole and w.announced == w.settled
    if not shows_whole and (now ~= w.shown or w.gave_back > 0) then show(w, e, now) end
    if not held then settle(w, e) end
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
