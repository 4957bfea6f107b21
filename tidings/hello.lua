-- Greets the log on a new connection: which life of the log is this, and where does it end?
-- A new server process, or another history, opens a new era (LOG.md (b), hello). So does a process
-- that was a replica in between: it has what its primary had, which may be less than it once had
-- itself. The id of its replication history, new with each promotion, tells (INFO replication).
--
-- KEYS  1 meta   2 log
-- ARGV  1 a random number below 2^20, so that two copies of one log never open the same era
-- gives { token, "<era>-<n>" of the last entry }; on a replica the error READONLY, though it could
-- answer: a server that was demoted must be left, not followed

local function number(id) return tonumber(string.match(id or '', '^(%d+)')) end
local function whole(x) return string.format('%.0f', x) end

local CLOSED_ERAS_KEPT = 64

local info = redis.call('INFO', 'server', 'replication')
if string.find(info, 'role:slave', 1, true) then
  return redis.error_reply('READONLY this server is a replica')
end
local run = string.match(info, 'run_id:(%w+)') .. (string.match(info, 'master_replid:(%w+)') or '')

local token = redis.pcall('HGET', KEYS[1], 'tok')
if type(token) == 'table' then redis.call('DEL', KEYS[1]); token = false end

local last = false
local stream = redis.pcall('XINFO', 'STREAM', KEYS[2])
if stream.err then
  if not string.find(stream.err, 'no such key', 1, true) then redis.call('DEL', KEYS[2]) end
else
  for i = 1, #stream, 2 do
    if stream[i] == 'last-generated-id' then last = stream[i + 1] end
  end
end

local same_history = token and last and number(token) == number(last)
if same_history and string.match(token, ':(%w+)$') == run then return { token, last } end

local previous = ''
if same_history then
  previous = last
  local era, n = string.match(last, '^(%d+)-(%d+)$')
  redis.call('HSET', KEYS[1], era, n)
  local eras = redis.call('HKEYS', KEYS[1])
  if #eras > CLOSED_ERAS_KEPT + 1 then
    table.sort(eras, function(a, b) return (tonumber(a) or math.huge) < (tonumber(b) or math.huge) end)
    redis.call('HDEL', KEYS[1], eras[1])
  end
else
  redis.call('DEL', KEYS[1], KEYS[2])
end

local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local era = whole(math.max(now_us, number(token) or 0, number(last) or 0) + 1 + tonumber(ARGV[1]))
redis.call('XADD', KEYS[2], era .. '-0', 't', 'era', 'prev', previous)
token = era .. ':' .. run
redis.call('HSET', KEYS[1], 'tok', token)
return { token, era .. '-0' }
