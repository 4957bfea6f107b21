-- Appends one batch of one reporter to the log. The XADD to the log is the commit and the
-- first write; nothing after it may raise, because Lua does not roll back (LOG.md (b), B1, B4).
--
-- KEYS  1 meta   2 log   3 the reporter's counter   4 running   5 due   6 watched
--       then for each event: its operation's hash, its topics' streams, its topics' indexes,
--       and the reporter counter of the run that a `lost` claim is about
-- ARGV  1 token       2 number of the first event   3 beat            4 the live channel
--       5 log length  6 topic length  7 index length
--       8 running TTL s   9 history TTL s   10 state TTL s
--       then for each event: condition, number of topics, number of indexes, topics (as `k`),
--       type, JSON, status ('' = unchanged, and then no indexes), run, attempt, effect ('' | ends | leaves),
--       descriptor (JSON; of 'new' and 'begin' only), redelivery s
--       condition: new | begin | own | any | attempt | lost:<n>:<beat> | due
--       leaves: the run gives the operation up and another is to follow; with a redelivery, within
--       so long, and until then it is nobody's
--       beat: '' leaves the reporter's beat as it is
-- gives { 'era' }, or one word per event:
--       '<era>-<n>' stored · dup · over · late · stale · unknown · alive · 'error <message>'
--       after an error the rest of the batch is untouched

local FIXED_KEYS, FIXED_ARGS, ARGS_PER_EVENT = 6, 10, 12
local RUNNING_FIRST = 4e15 -- added to a running operation's score: above any era, and the sum is below 2^53
local REPORTER_TTL_S = 86400

local meta, log, counter, running, due = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, first, beat, channel = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local log_length, topic_length, index_length = ARGV[5], ARGV[6], tonumber(ARGV[7])
local running_ttl_s, history_ttl_s, state_ttl_s = ARGV[8], ARGV[9], ARGV[10]

if redis.call('HGET', meta, 'tok') ~= token then return { 'era' } end
local era = string.match(token, '^(%d+):')
local seen = tonumber(redis.call('HGET', counter, 'n') or 0)
local time = redis.call('TIME') -- shown to people, never compared
local now_ms = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))

-- The clock of deadlines: how long web processes have watched, in ms, together (LOG.md, C8).
local function watched_ms()
  local watched = redis.pcall('GET', KEYS[6])
  return type(watched) == 'string' and tonumber(watched) or 0
end

-- Says why the event may not be stored, or nothing.
local function refusal(e, known)
  if known.ended then return 'over' end
  if e.condition == 'new' then return known.status and 'late' end
  if e.condition == 'begin' then return known.attempt and e.attempt < known.attempt and 'stale' end
  if not known.status then return 'unknown' end
  if e.condition == 'any' then return nil end
  if e.condition == 'own' then
    if not known.run then return 'unknown' end -- nobody's: who goes on with it begins again
    return known.run ~= e.run and 'stale'
  end
  if e.condition == 'attempt' then
    local given_up = e.effect == 'leaves' and not known.run
    return known.attempt and (known.attempt ~= e.attempt or given_up) and 'stale'
  end
  if e.condition == 'due' then
    local at = redis.call('ZSCORE', due, e.id)
    return (not at or tonumber(at) > watched_ms()) and 'alive'
  end
  local n, b = string.match(e.condition, '^lost:(%d+):(%d+)$')
  if not n then error({ err = 'unknown condition ' .. e.condition }) end
  local lease = redis.call('HMGET', e.lease, 'n', 'beat')
  return (known.run ~= e.run or (lease[1] or '0') ~= n or (lease[2] or '0') ~= b) and 'alive'
end

-- Adds the entry under the log's id to one topic's stream; a stream that is absent or will
-- not take it starts anew, saying from where on it is complete (`f`).
local function add_to_topic(key, id, before, e)
  local added = redis.pcall('XADD', key, 'NOMKSTREAM', 'MAXLEN', '~', topic_length, id, 't', e.type, 'd', e.data)
  if added and not added.err then return end
  redis.pcall('DEL', key)
  redis.pcall('XADD', key, id, 't', e.type, 'd', e.data, 'f', before)
  redis.pcall('EXPIRE', key, running_ttl_s)
end

-- Files the operation under the place in the log of its last status change, running ones first.
local function index(key, id, e)
  local place = tonumber(era) + tonumber(string.match(id, '-(%d+)$'))
  redis.pcall('ZADD', key, string.format('%.0f', e.effect == 'ends' and place or place + RUNNING_FIRST), e.id)
  redis.pcall('ZREMRANGEBYRANK', key, 0, -index_length - 1)
  redis.pcall('EXPIRE', key, running_ttl_s)
end

local function lease_of(run, e) return string.match(run, '^[^.]*') .. ' ' .. e.id end

-- Files the operation under the reporter whose beat keeps it alive, or under its deadline.
local function keep_lease(e, known)
  local begins = e.condition == 'begin'
  if not begins and e.effect == '' then return end
  if known.run then redis.pcall('ZREM', running, lease_of(known.run, e)) end
  redis.pcall('ZREM', due, e.id)
  if begins then
    redis.pcall('ZADD', running, 0, lease_of(e.run, e))
  elseif e.effect == 'leaves' and e.redelivery_s > 0 then
    redis.pcall('HDEL', e.operation, 'run')
    redis.pcall('ZADD', due, string.format('%.0f', watched_ms() + e.redelivery_s * 1000), e.id)
  end
end

local function keep_state(e, id, known)
  local state = { 'last', id, 'e:' .. e.type, e.data }
  local function set(field, value) state[#state + 1] = field; state[#state + 1] = value end
  if not known.status then set('born', id); set('created', now_ms) end
  if not known.status or e.condition == 'begin' then set('about', e.about) end
  if e.status ~= '' then set('status', e.status); set('updated', now_ms) end
  if e.condition == 'begin' then set('run', e.run); set('attempt', e.attempt); set('redelivery', e.redelivery_s) end
  if e.effect == 'ends' then set('end', id) end
  redis.pcall('HSET', e.operation, unpack(state))
  if e.effect == 'ends' then
    redis.pcall('EXPIRE', e.operation, state_ttl_s)
    redis.pcall('EXPIRE', e.topics[1], history_ttl_s)
  elseif not known.status or e.condition == 'begin' then
    redis.pcall('EXPIRE', e.operation, running_ttl_s)
    redis.pcall('EXPIRE', e.topics[1], running_ttl_s)
  end
  if e.status ~= '' then
    for _, key in ipairs(e.indexes) do index(key, id, e) end
  end
  keep_lease(e, known)
end

-- Quotes a text as tidings.events does: U+0085, U+2028 and U+2029 break lines for some readers.
local function quoted(text)
  local json = cjson.encode(text)
  json = string.gsub(json, '\194\133', '\\u0085')
  json = string.gsub(json, '\226\128\168', '\\u2028')
  return (string.gsub(json, '\226\128\169', '\\u2029'))
end

local function store(e)
  local fields = redis.call('HMGET', e.operation, 'end', 'status', 'run', 'attempt')
  local known = { ended = fields[1], status = fields[2], run = fields[3], attempt = tonumber(fields[4] or nil) }
  local refused = refusal(e, known)
  if refused then return refused end
  if e.type == 'status' and known.status then
    e.data = string.sub(e.data, 1, -2) .. ',"previousStatus":' .. quoted(known.status) .. '}'
  end
  local id = redis.call('XADD', log, 'MAXLEN', '~', log_length, era .. '-*', 'k', e.k, 't', e.type, 'd', e.data)
  local n = tonumber(string.match(id, '-(%d+)$'))
  if n == 0 then -- the log was evicted under a living era: its ids must not be used twice (B3)
    redis.call('DEL', log)
    redis.call('HDEL', meta, 'tok')
    return 'era'
  end
  local before = era .. '-' .. string.format('%.0f', n - 1)
  for _, key in ipairs(e.topics) do add_to_topic(key, id, before, e) end
  keep_state(e, id, known)
  return id
end

local outcomes, newest = {}, false
local key, arg = FIXED_KEYS + 1, FIXED_ARGS + 1
local function take_keys(count)
  local taken = {}
  for i = 1, count do taken[i] = KEYS[key + i - 1] end
  key = key + count
  return taken
end

for number = first, first + (#ARGV - FIXED_ARGS) / ARGS_PER_EVENT - 1 do
  local a = arg
  arg = arg + ARGS_PER_EVENT
  local e = {
    condition = ARGV[a], k = ARGV[a + 3], type = ARGV[a + 4], data = ARGV[a + 5], status = ARGV[a + 6],
    run = ARGV[a + 7], attempt = tonumber(ARGV[a + 8]), effect = ARGV[a + 9], about = ARGV[a + 10],
    redelivery_s = tonumber(ARGV[a + 11]),
  }
  e.operation = take_keys(1)[1]
  e.topics = take_keys(tonumber(ARGV[a + 1]))
  e.indexes = take_keys(tonumber(ARGV[a + 2]))
  e.lease = take_keys(1)[1]
  e.id = string.match(e.k, '^operations:(%S+)')

  local outcome = 'dup'
  if number > seen then
    local ok, result = pcall(store, e)
    if ok then
      outcome = result
    else
      outcome = 'error ' .. (type(result) == 'table' and result.err or tostring(result))
    end
    if outcome == 'era' then return { 'era' } end
  end
  outcomes[#outcomes + 1] = outcome
  if string.sub(outcome, 1, 5) == 'error' then break end
  if string.find(outcome, '^%d') then newest = outcome end
  if number > seen then seen = number end
end

if #outcomes > 0 then redis.pcall('HSET', counter, 'n', string.format('%.0f', seen)) end
-- A beat alone may raise: whoever beats must learn that it was not taken.
if beat ~= '' then (#outcomes > 0 and redis.pcall or redis.call)('HSET', counter, 'beat', beat) end
if #outcomes > 0 or beat ~= '' then redis.pcall('EXPIRE', counter, REPORTER_TTL_S) end
if newest then redis.pcall('PUBLISH', channel, newest) end
return outcomes
