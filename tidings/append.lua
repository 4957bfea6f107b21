-- Appends one batch of one reporter to the log. The XADD to the log is the commit and the
-- first write; nothing after it may raise, because Lua does not roll back (LOG.md (b), B1, B4).
--
-- KEYS  1 meta   2 log   3 the reporter's counter   4 running   5 due   6 watched
-- ARGV  1 token       2 number of the first event   3 beat            4 what the namespace's keys begin with
--       5 log length  6 topic length  7 index length
--       8 running TTL s   9 history TTL s   10 state TTL s
--       11 the events, a MessagePack array of maps; what is not said of one is not in its map:
--       condition, topics (the operation's own first), type, data (JSON), run, attempt,
--       status (what the operation's becomes; with every 'new' and 'begin'), effect (ends | leaves),
--       about (descriptor, JSON; with every 'new' and 'begin'), redelivery (s),
--       took (s; of an attempt that ends or leaves, else counted here), past (its task; with silence,
--       in s, where the run is to be kept for those that follow);
--       owner (the topic of what is its owner's; with 'new' and 'begin');
--       use (of the operation's id; with 'new', 'begin', 'any' and 'attempt', where ids can be used again);
--       trace (W3C's traceparent, kept with the log's entry for the feed; where spans are wanted);
--       of a leaf of a workflow: at (its place, see workflow.lua), units (of a progress), cuts, word (JSON)
--       condition: new | begin | own | any | attempt | lost:<n>:<beat> | due | cancel | cancel:<attempt> | idle
--       leaves: the run gives the operation up and another is to follow; with a redelivery, within
--       so long, and until then it is nobody's
--       beat: '' leaves the reporter's beat as it is
-- gives { 'era' }, or one word per event:
--       '<era>-<n>' stored · dup · over · late · stale · unknown · alive · asked · 'error <message>'
--       behind that of a run ' cancel' if its operation was asked to be cancelled; for a beat alone
--       'cancel <run>' of each such run of the reporter (docs/adr/0009)
--       after an error, or an `own` event of an unknown operation, the rest of the batch is untouched
--
-- One argument for all events, and the keys of their operations, topics, indexes and reporters made here
-- rather than named in KEYS: sixteen arguments an event took Redis 3 us to take in, and the reporter 9 to
-- send. These keys share the namespace's hash tag, hence the slot of those that are given (LOG.md, B6);
-- state.lua, watch.lua and runs.lua reach theirs in the same way.

local meta, log, counter, running, due, watched = unpack(KEYS)
local token, first, beat, namespace = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local log_length, topic_length, index_length = ARGV[5], ARGV[6], tonumber(ARGV[7])
local running_ttl_s, history_ttl_s, state_ttl_s = ARGV[8], ARGV[9], ARGV[10]
local events = cmsgpack.unpack(ARGV[11])

local RUNNING_FIRST = 4e15 -- added to a running operation's score: above any era, and the sum is below 2^53
local REPORTER_TTL_S = 86400
local ENDED, STATUS, RUN, ATTEMPT, CANCEL, USES, AT, OWNER = 1, 2, 3, 4, 5, 6, 7, 8 -- of what is known of an operation
local MAX_USES_CHARS = 200 -- of an id, the latest: what is delivered again of an earlier one is nothing new
local PAST_RUNS, PAST_TASKS, PAST_TTL_S = 50, 1000, 30 * 86400
local FINAL_STATUSES = { 'succeeded', 'failed', 'cancelled' }
local OWN_TOPIC_ID = #'operations:' + 1

if redis.call('HGET', meta, 'tok') ~= token then return { 'era' } end
local era = string.match(token, '^(%d+):')
local next_id, genesis_id, n_at = era .. '-*', era .. '-0', #era + 2
local seen = redis.call('HGET', counter, 'n')
local is_new_reporter = not seen
seen = tonumber(seen or 0)
local indexes = {} -- those that were written to, and are to be cut to their length

local function n_of(id) return tonumber(string.sub(id, n_at)) end

-- Shown to people, never compared.
local function now_ms()
  local time = redis.call('TIME')
  return string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
end

-- The clock of deadlines: how long web processes have watched, in ms, together (LOG.md, C8).
local function watched_ms()
  local ms = redis.pcall('GET', watched)
  return type(ms) == 'string' and tonumber(ms) or 0
end

-- Tells whether the event is of another use of the operation's id than the present one.
local function is_of_another_use(e, known)
  return e.use and known[USES] and string.sub(known[USES], -#e.use) ~= e.use
end

-- Tells whether the event is the first of a use of the id that nobody has heard of: the operation is new then.
local function uses_id_again(e, known)
  if not is_of_another_use(e, known) or string.find(known[USES], e.use, 1, true) then return false end
  return e.condition == 'begin' or e.condition == 'new' and known[ENDED]
end

-- Says why the event may not be stored, or nothing.
local function refusal(e, known)
  if known[ENDED] then return 'over' end
  if is_of_another_use(e, known) and e.condition ~= 'new' then return 'stale' end
  local condition, run = e.condition, known[RUN]
  if condition == 'own' then
    if not run then return 'unknown' end -- or nobody's: who goes on with it begins again
    return run ~= e.run and 'stale'
  end
  local attempt = tonumber(known[ATTEMPT] or nil)
  if condition == 'new' then return known[STATUS] and 'late' end
  if condition == 'begin' then return attempt and e.attempt < attempt and 'stale' end
  if not known[STATUS] then return 'unknown' end
  if condition == 'any' then return nil end
  if condition == 'attempt' then
    local given_up = e.effect == 'leaves' and not run
    return attempt and (attempt ~= e.attempt or given_up) and 'stale'
  end
  if condition == 'due' then
    local at = redis.call('ZSCORE', due, e.id)
    return (not at or tonumber(at) > watched_ms()) and 'alive'
  end
  if condition == 'idle' then return known[CANCEL] ~= 'idle' and 'alive' end
  local wanted = string.match(condition, '^cancel:?(%d*)$')
  if wanted then
    return wanted ~= '' and tonumber(wanted) ~= (attempt or 1) and 'stale' or known[CANCEL] and 'asked'
  end
  local n, b = string.match(condition, '^lost:(%d+):(%d+)$')
  if not n then error({ err = 'unknown condition ' .. condition }) end
  local lease = redis.call('HMGET', namespace .. 'r:' .. string.match(e.run, '^[^.]*'), 'n', 'beat')
  return (run ~= e.run or (lease[1] or '0') ~= n or (lease[2] or '0') ~= b) and 'alive'
end

-- Adds the entry under the log's id to one topic's stream; a stream that is absent or will
-- not take it starts anew, saying from where on it is complete (`f`).
local function add_to_topic(key, id, e)
  local added = redis.pcall('XADD', key, 'NOMKSTREAM', 'MAXLEN', '~', topic_length, id, 't', e.type, 'd', e.data)
  if added and not added.err then return end
  if added then redis.pcall('DEL', key) end
  local before = era .. '-' .. string.format('%.0f', n_of(id) - 1)
  redis.pcall('XADD', key, id, 't', e.type, 'd', e.data, 'f', before)
  redis.pcall('EXPIRE', key, running_ttl_s)
end

-- Files the operation under the place in the log of its last status change, running ones first.
local function index(topic, id, e)
  local key = namespace .. 'i:' .. topic
  local place = tonumber(era) + n_of(id)
  redis.pcall('ZADD', key, string.format('%.0f', e.effect == 'ends' and place or place + RUNNING_FIRST), e.id)
  indexes[key] = true
end

-- Keeps the list that people page through: what is open by its beginning, what is over by its end (docs/adr/0013).
local function list(e, id, is_new)
  local open, ends = namespace .. 's:open', e.effect == 'ends'
  local key = ends and namespace .. 's:' .. e.status or open
  local place = string.format('%.0f', tonumber(era) + n_of(id))
  if ends then redis.pcall('ZREM', open, e.id) end
  if ends or is_new then
    redis.pcall('ZADD', key, place, e.id)
  else
    redis.pcall('ZADD', key, 'NX', place, e.id)
  end
  indexes[key] = true
end

local function lease_of(run, e) return string.match(run, '^[^.]*') .. ' ' .. e.id end

-- Files the operation under the reporter whose beat keeps it alive, or under its deadline.
local function keep_lease(e, run)
  local begins = e.condition == 'begin'
  if not begins and not e.effect then return end
  if run then redis.pcall('ZREM', running, lease_of(run, e)) end
  redis.pcall('ZREM', due, e.id)
  if begins then
    redis.pcall('ZADD', running, 0, lease_of(e.run, e))
  elseif e.effect == 'leaves' and e.redelivery then
    redis.pcall('HDEL', e.operation, 'run')
    redis.pcall('ZADD', due, string.format('%.0f', watched_ms() + e.redelivery * 1000), e.id)
  end
end

-- Adds a run to those that its reporter's beats are told to cancel, or takes it out.
local function flag(command, run)
  local key = namespace .. 'c:' .. string.match(run, '^[^.]*')
  redis.pcall(command, key, run)
  redis.pcall('EXPIRE', key, running_ttl_s)
end

-- Tells whether an operation is a workflow with leaves that are not over: these end it.
local function has_live_leaves(e)
  local counts = redis.pcall('HMGET', namespace .. 'wf:' .. e.id, 'announced', 'settled')
  return tonumber(counts[1] or 0) > tonumber(counts[2] or 0)
end

-- Keeps that the operation is to be cancelled: by the run that works on it, or by nobody if it is idle.
local function keep_cancel(e, known)
  local run = known[RUN]
  if string.sub(e.condition, 1, 6) == 'cancel' then
    local idle = (not run or redis.pcall('HGET', e.operation, 'left') == run) and not has_live_leaves(e)
    redis.pcall('HSET', e.operation, 'cancel', idle and 'idle' or run or 'leaves')
    if run and not idle then flag('SADD', run) end
    redis.pcall('SET', namespace .. 'cancels', 1, 'EX', state_ttl_s)
  elseif known[CANCEL] and (e.effect or e.condition == 'begin') then
    if run then flag('SREM', run) end
    if not e.effect then flag('SADD', e.run) end
  end
end

-- Adds to an end how long the attempt took and the operation had waited, and keeps the first with its state.
local function add_times(e, known)
  local kept = redis.call('HMGET', e.operation, 'began', 'waited', 'created')
  local took_ms = e.took and e.took * 1000 or kept[1] and math.max(0, now_ms() - kept[1])
  local waited_ms = kept[2] or not known[ATTEMPT] and kept[3] and math.max(0, now_ms() - kept[3])
  local function add(name, ms) e.data = string.sub(e.data, 1, -2) .. string.format(',"%s":%.12g}', name, ms / 1000) end
  if took_ms then
    add('durationSeconds', took_ms)
    e.took_ms = string.format('%.0f', took_ms)
  end
  if waited_ms and e.effect == 'ends' then add('waitedSeconds', waited_ms) end
end

-- Keeps how long a run took that went well, and its longest silence: the latest of each task, of the latest tasks.
local function keep_past(e, id)
  local tasks, key = namespace .. 'past', namespace .. 'past:' .. e.past
  redis.pcall('LPUSH', key, e.took .. ' ' .. e.silence)
  redis.pcall('LTRIM', key, 0, PAST_RUNS - 1)
  redis.pcall('EXPIRE', key, PAST_TTL_S)
  redis.pcall('ZADD', tasks, string.format('%.0f', tonumber(era) + n_of(id)), e.past)
  redis.pcall('EXPIRE', tasks, PAST_TTL_S)
  local kept = redis.pcall('ZCARD', tasks)
  if type(kept) == 'number' and kept > PAST_TASKS then
    redis.pcall('DEL', namespace .. 'past:' .. redis.pcall('ZPOPMIN', tasks)[1])
  end
end

-- Keeps what an event changes that changes the operation's status, or whose it is.
local function keep_change(e, id, known, own_topic)
  local is_new, begins, ends = not known[STATUS], e.condition == 'begin', e.effect == 'ends'
  local state = { 'last', id, 'e:' .. e.type, e.data }
  local function set(field, value) state[#state + 1] = field; state[#state + 1] = value end
  local now = now_ms()
  if is_new then set('born', id); set('created', now) end
  if is_new or begins then set('about', e.about) end
  if e.status then set('status', e.status); set('updated', now) end
  if e.owner and not known[OWNER] then set('owner', e.owner) end
  if (is_new or begins) and e.uses then set('uses', string.sub(e.uses, -MAX_USES_CHARS)) end
  if begins then set('run', e.run); set('attempt', e.attempt); set('redelivery', e.redelivery or 0) end
  if begins then set('began', now) end
  if begins and known[STATUS] and not known[ATTEMPT] then
    local created = tonumber(redis.pcall('HGET', e.operation, 'created') or nil)
    if created then set('waited', string.format('%.0f', math.max(0, now - created))) end
  end
  if e.took_ms then set('took', e.took_ms) end
  if ends then set('end', id) end
  if e.effect == 'leaves' then set('left', known[RUN] or '') end
  redis.pcall('HSET', e.operation, unpack(state))
  if ends then
    redis.pcall('EXPIRE', e.operation, state_ttl_s)
    redis.pcall('EXPIRE', own_topic, history_ttl_s)
  elseif is_new or begins then
    redis.pcall('EXPIRE', e.operation, running_ttl_s)
    redis.pcall('EXPIRE', own_topic, running_ttl_s)
  end
  if e.status then
    index('*', id, e)
    list(e, id, is_new)
    for i = 2, #e.topics do index(e.topics[i], id, e) end
  end
  keep_lease(e, known[RUN])
  keep_cancel(e, known)
  if e.effect == 'leaves' then redis.pcall('HDEL', e.operation, 'began') end
  if e.past then keep_past(e, id) end
end

-- Quotes a text as tidings.events does: U+0085, U+2028 and U+2029 break lines for some readers.
local function quoted(text)
  local json = cjson.encode(text)
  json = string.gsub(json, '\194\133', '\\u0085')
  json = string.gsub(json, '\226\128\168', '\\u2028')
  return (string.gsub(json, '\226\128\169', '\\u2029'))
end

-- Tells to whose topic an event goes beside its operation's others: it is the operation's, not who speaks, that
-- knows. A leaf is its workflow's owner's; of a member of a group its owner is told as much as the workflow is.
local function add_owner(e, known)
  local is_new = not known[STATUS]
  e.owner = known[OWNER] or (is_new or e.condition == 'begin') and e.owner
  if is_new and not e.owner and e.at then
    local inherited = redis.pcall('HGET', namespace .. 'op:' .. e.at[1], 'owner')
    e.owner = type(inherited) == 'string' and inherited
  end
  local is_members = string.find(e.topics[2] or '', '^members:') and not string.find(e.topics[#e.topics], '^workflows:')
  if e.owner and not is_members then e.topics[#e.topics + 1] = e.owner end
end

local store

-- < workflow.lua

-- Ends a use of an id that is put to the next one while it runs: whoever works on it has no say any more.
local function end_use(e, known)
  local d = cjson.decode(redis.call('HGET', e.operation, 'about'))
  local topics, said, p = { e.topics[1] }, '', d.placement
  if d.workflowId then topics[2] = (p and p[6] and 'members:' or 'workflows:') .. d.workflowId end
  if d.agentId then topics[#topics + 1] = 'agents:' .. d.agentId end
  for _, name in ipairs({ 'workflowId', 'agentId', 'parentId' }) do
    if d[name] then said = said .. string.format('"%s":%s,', name, quoted(d[name])) end
  end
  store({
    topics = topics, condition = 'any', run = '', attempt = tonumber(known[ATTEMPT] or 1), type = 'error',
    status = 'failed', effect = 'ends', at = p and { p[1], p[2], p[3], p[4], p[5], p[7] }, units = 0,
    data = string.format(
      '{"operationId":%s,"operationType":%s,%s"timestamp":%s,"attempt":%s,"code":"id_reused",'
      .. '"message":"Its id was used for another task before it was over.","terminal":true}', quoted(e.id),
      quoted(d.kind), said, quoted(string.match(e.data, '"timestamp":"([^"]*)"') or ''), known[ATTEMPT] or 1)
  })
end

-- Gives the id under which the event was stored, or false and why it was not; and whether its run is to end.
function store(e)
  local topics = e.topics
  e.id = string.sub(topics[1], OWN_TOPIC_ID)
  e.operation = namespace .. 'op:' .. e.id
  local known = redis.call('HMGET', e.operation, 'end', 'status', 'run', 'attempt', 'cancel', 'uses', 'at', 'owner')
  local is_again, uses = uses_id_again(e, known), known[USES]
  e.uses = not uses and e.use or is_again and uses .. ' ' .. e.use
  if is_again then
    if not known[ENDED] then end_use(e, known) end
    known = {}
  end
  local refused = refusal(e, known)
  local asked = known[CANCEL] and (e.condition == 'own' or e.condition == 'begin')
  if refused then return false, refused, asked end
  if known[AT] and not e.at then e.at, e.units = cmsgpack.unpack(known[AT]), 0 end
  if e.type == 'status' and known[STATUS] then
    e.data = string.sub(e.data, 1, -2) .. ',"previousStatus":' .. quoted(known[STATUS]) .. '}'
  end
  if e.effect then add_times(e, known) end
  add_owner(e, known)
  local whom = table.concat(topics, ' ')
  local id = e.trace and redis.call('XADD', log, next_id, 'k', whom, 't', e.type, 'd', e.data, 'p', e.trace)
    or redis.call('XADD', log, next_id, 'k', whom, 't', e.type, 'd', e.data)
  if id == genesis_id then -- the log was evicted under a living era: its ids must not be used twice (B3)
    redis.call('DEL', log)
    redis.call('HDEL', meta, 'tok')
    return false, 'era'
  end
  if is_again then
    redis.pcall('DEL', e.operation, namespace .. 'wf:' .. e.id)
    for _, status in ipairs(FINAL_STATUSES) do redis.pcall('ZREM', namespace .. 's:' .. status, e.id) end
  end
  local own_topic = namespace .. 't:' .. topics[1]
  add_to_topic(own_topic, id, e)
  for i = 2, #topics do add_to_topic(namespace .. 't:' .. topics[i], id, e) end
  if e.status or e.effect then
    keep_change(e, id, known, own_topic)
  else
    redis.pcall('HSET', e.operation, 'last', id, 'e:' .. e.type, e.data)
  end
  if e.at then
    local ok, told = pcall(tally, e)
    asked = asked or (ok and told and not e.effect)
  elseif e.effect == 'leaves' then
    pcall(release, e)
  end
  return id, nil, asked
end

local outcomes, newest, renews = {}, false, is_new_reporter or beat ~= ''
for i, e in ipairs(events) do
  local number = first + i - 1
  local outcome = 'dup'
  if number > seen then
    local ok, id, refused, asked = pcall(store, e)
    if not ok then
      outcomes[i] = 'error ' .. (type(id) == 'table' and id.err or tostring(id))
      break
    end
    if refused == 'era' then return { 'era' } end
    if refused == 'unknown' and e.condition == 'own' then
      -- Not seen, for its run says it again behind an announcement: were this reply lost, the repeated
      -- batch must not be told `dup`.
      outcomes[i] = refused
      break
    end
    newest = id or newest
    outcome = asked and (id or refused) .. ' cancel' or id or refused
    seen = number
    renews = renews or e.type ~= 'progress'
  end
  outcomes[i] = outcome
end

if newest then redis.pcall('XTRIM', log, 'MAXLEN', '~', log_length) end
for key in pairs(indexes) do
  redis.pcall('ZREMRANGEBYRANK', key, 0, -index_length - 1)
  redis.pcall('EXPIRE', key, running_ttl_s)
end
if #outcomes > 0 then redis.pcall('HSET', counter, 'n', string.format('%.0f', seen)) end
-- A beat alone may raise: whoever beats must learn that it was not taken.
if beat ~= '' then (#outcomes > 0 and redis.pcall or redis.call)('HSET', counter, 'beat', beat) end
if #events == 0 then
  for _, run in ipairs(redis.pcall('SMEMBERS', namespace .. 'c:' .. string.sub(counter, #namespace + 3))) do
    outcomes[#outcomes + 1] = 'cancel ' .. run
  end
end
-- Progress does not renew it: whoever reports progress also beats (tidings/lease.py).
if renews then redis.pcall('EXPIRE', counter, REPORTER_TTL_S) end
if newest then redis.pcall('PUBLISH', namespace .. 'live', newest) end
return outcomes
