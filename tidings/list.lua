-- Reads a part of the list of operations, how many there are by how they stand, and the log's position, in one
-- step (docs/adr/0013). Writes nothing.
--
-- KEYS  1 meta   2 log   3 the open operations   4… the others, by the status that they ended with
-- ARGV  1 place before which to go on, or ''   2 most operations   3 prefix of an operation's hash
--       4… numbers, from 1, of the sets that are wanted
-- gives { token, "<era>-<n>" of the last entry, { how many in each set }, place of the last that was
--       looked at if there may be more, or '', { place, fields… }… }; an absent operation is left out
--
-- The hashes that a set leads to cannot be named before the call, so they are not in KEYS;
-- they share the namespace's hash tag, hence its slot (LOG.md, B6).

local OPEN_FIRST = 4e15 -- added to an open operation's place: above any era, and the sum is below 2^53
local SETS_AT, WANTED_AT = 3, 4
local before, most, prefix = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

local function whole(number) return string.format('%.0f', number) end

local function answer(...)
  local found = redis.pcall(...)
  return (found and not found.err) and found or {} -- what somebody else wrote there is no operation
end

local function last_id()
  local info = answer('XINFO', 'STREAM', KEYS[2])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] end
  end
  return false -- nil would end the answer
end

local function is_kept(key, rank)
  return redis.call('EXISTS', prefix .. answer('ZREVRANGE', key, rank, rank)[1]) == 1
end

-- Counts what is kept: ended operations expire in the order of their ends, so all that are gone stand last.
local function count(key)
  local low, high = 0, redis.pcall('ZCARD', key)
  if type(high) ~= 'number' then return 0 end
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_kept(key, middle) then low = middle + 1 else high = middle end
  end
  return low
end

local found = {}
for i = WANTED_AT, #ARGV do
  local set = tonumber(ARGV[i])
  local more = set == 1 and OPEN_FIRST or 0
  local key = KEYS[SETS_AT + set - 1]
  local passed = before and redis.pcall('ZCOUNT', key, whole(before - more), '+inf') or 0
  passed = type(passed) == 'number' and passed or 0
  local page = answer('ZREVRANGE', key, passed, passed + most, 'WITHSCORES')
  for j = 1, #page, 2 do found[#found + 1] = { tonumber(page[j + 1]) + more, page[j] } end
end
table.sort(found, function(a, b) return a[1] > b[1] end)

local states, looked_at = {}, math.min(most, #found)
for i = 1, looked_at do
  local fields = answer('HGETALL', prefix .. found[i][2])
  if #fields > 0 then states[#states + 1] = { whole(found[i][1]), fields } end
end
local last = looked_at > 0 and found[looked_at][1]
local is_end = #found <= most or (#states == 0 and found[1][1] < OPEN_FIRST) -- older ones are gone as well

local counts = {}
for i = SETS_AT, #KEYS do counts[#counts + 1] = count(KEYS[i]) end
return { redis.call('HGET', KEYS[1], 'tok'), last_id(), counts, is_end and '' or whole(last), states }
