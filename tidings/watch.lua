-- Looks at the leases once: who works, and whose deadline has passed. Every web process asks for
-- this once a scan; it costs by the reporter, not by the operation (ADR 5).
--
-- KEYS  1 meta   2 running   3 due   4 watched
-- ARGV  1 what the caller saw `watched` at for a whole lease ('' = it did not)   2 lease ms
--       3 the reporter after which to go on ('' = from the first)   4 most reporters   5 most overdue
--       6 prefix of a reporter's counter   7 prefix of an operation's hash
-- gives { token, watched, { reporter, n, beat }…, overdue { descriptor, attempt }…, running operations },
--       with two lists; fewer reporters than the most: these were the last
--
-- The counters and hashes cannot be named before the call; they share the namespace's hash tag,
-- hence its slot (LOG.md, B6).

-- Written each time, changed or not: a server that takes no writes (full, a replica) takes no beats
-- either, and whoever is silent then is not lost.
local watched = redis.call('GET', KEYS[4]) or '0'
if watched == ARGV[1] then watched = string.format('%.0f', tonumber(watched) + tonumber(ARGV[2])) end
redis.call('SET', KEYS[4], watched)

local leases, place = {}, ARGV[3] == '' and '-' or '(' .. ARGV[3] .. '!'
while #leases < tonumber(ARGV[4]) do
  local first = redis.call('ZRANGEBYLEX', KEYS[2], place, '+', 'LIMIT', 0, 1)[1]
  if not first then break end
  local reporter = string.match(first, '^[^ ]*')
  local counter = redis.call('HMGET', ARGV[6] .. reporter, 'n', 'beat')
  leases[#leases + 1] = { reporter, counter[1] or '0', counter[2] or '0' }
  place = '(' .. reporter .. '!' -- '!' follows the space that ends a reporter's name in `running`
end

local overdue = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', watched, 'LIMIT', 0, ARGV[5])) do
  local about = redis.call('HMGET', ARGV[7] .. id, 'about', 'attempt', 'end')
  if about[1] and not about[3] then
    overdue[#overdue + 1] = { about[1], about[2] or '1' }
  else
    redis.call('ZREM', KEYS[3], id)
  end
end
return { redis.call('HGET', KEYS[1], 'tok'), watched, leases, overdue, redis.call('ZCARD', KEYS[2]) }
