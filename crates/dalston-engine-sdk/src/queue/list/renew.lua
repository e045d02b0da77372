-- Renews the lease, repeats events that nobody heard, and tells which tasks are lost.
--
-- KEYS  1 heartbeat   2 sorted set of workers   3 this worker's tasks   4 events that nobody heard
--       5 tasks in flight   6 queue
-- ARGV  1 nonce   2 lease in ms   3 worker id   4 channel   5 seconds to repeat an event for
--       6 prefix of workers' tasks   7 prefix of marks of an end
--       8... of each claim: task, 1 if its lease has not lapsed since
-- Returns the numbers of the claims that the worker holds no more, from 1.
local now = redis.call('TIME')[1]
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[3])

redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', (now - ARGV[5]) * 1000)
for _, event in ipairs(redis.call('ZRANGE', KEYS[4], 0, 99)) do
  -- A channel that is forbidden must not keep the worker from its lease.
  local heard = redis.pcall('PUBLISH', ARGV[4], event)
  if type(heard) == 'table' or heard == 0 then
    break
  end
  redis.call('ZREM', KEYS[4], event)
end

local there = {}
for _, task in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  there[task] = (there[task] or 0) + 1
end
local lost = {}
for i = 8, #ARGV, 2 do
  local task = ARGV[i]
  if (there[task] or 0) > 0 then
    there[task] = there[task] - 1
    redis.call('ZADD', KEYS[5], now_ms(), task)
  elseif ARGV[i + 1] == '1' and is_forgotten(task, KEYS[6], KEYS[2], ARGV[6], ARGV[7] .. task) then
    redis.call('ZADD', KEYS[5], now_ms(), task)
  else
    lost[#lost + 1] = (i - 6) / 2
  end
end
-- Tasks whose worker died stay in the set until another worker requeues them: while all workers are gone,
-- the set says that one is needed. The rest of a day ago belongs to tasks that the server forgot.
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', (now - 86400) * 1000)
return lost
