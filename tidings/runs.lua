-- Reads what a reporter that has fallen silent was running, and forgets what it runs no more
-- (expired, or taken over by an append that could not say so).
--
-- KEYS  1 running
-- ARGV  1 reporter   2 most   3 prefix of an operation's hash
-- gives { how many were looked at, { run, attempt, redelivery s, descriptor }… }

local reporter, runs = ARGV[1], {}
local members = redis.call('ZRANGEBYLEX', KEYS[1], '[' .. reporter .. ' ', '(' .. reporter .. '!', 'LIMIT', 0, ARGV[2])
for _, member in ipairs(members) do
  local id = string.sub(member, #reporter + 2)
  local o = redis.call('HMGET', ARGV[3] .. id, 'run', 'attempt', 'redelivery', 'about', 'end')
  if o[1] and o[4] and not o[5] and string.match(o[1], '^[^.]*') == reporter then
    runs[#runs + 1] = { o[1], o[2], o[3] or '0', o[4] }
  else
    redis.call('ZREM', KEYS[1], member)
  end
end
return { #members, runs }
