-- Reads the current state of operations and the log's position in one step, so that a stream
-- can go on from exactly there (LOG.md, A18). Writes nothing.
--
-- KEYS  1 meta   2 log   then operations' hashes, then indexes
-- ARGV  1 how many of the KEYS are operations   2 most operations to take from each index
--       3 prefix of an operation's hash
-- gives { token, "<era>-<n>" of the last entry, { id, fields…, }… }; an absent operation is left out
--
-- The hashes that an index leads to cannot be named before the call, so they are not in KEYS;
-- they share the namespace's hash tag, hence its slot (LOG.md, B6).

local function last_id()
  local info = redis.pcall('XINFO', 'STREAM', KEYS[2])
  if info.err then return false end
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] end
  end
end

local named, most, prefix = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local taken, states = {}, {}
local function take(key)
  if taken[key] then return end
  taken[key] = true
  local fields = redis.call('HGETALL', key)
  if #fields > 0 then states[#states + 1] = { string.sub(key, #prefix + 1), fields } end
end

for i = 3, 2 + named do take(KEYS[i]) end
for i = 3 + named, #KEYS do
  for _, id in ipairs(redis.call('ZREVRANGE', KEYS[i], 0, most - 1)) do take(prefix .. id) end
end
return { redis.call('HGET', KEYS[1], 'tok'), last_id(), states }
