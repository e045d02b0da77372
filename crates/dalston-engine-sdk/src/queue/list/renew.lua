-- Renews the lease, repeats events that nobody heard, and tells which tasks are lost.
--
-- KEYS  1 heartbeat   2 sorted set of workers   3 this worker's tasks   4 events that nobody heard
-- ARGV  1 nonce   2 lease in ms   3 worker id   4 channel   5 seconds to repeat an event for
--       6... the tasks that the worker holds
-- Returns those that it holds no more.
local now = redis.call('TIME')
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], now[1], ARGV[3])

redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', (now[1] - ARGV[5]) * 1000)
for _, event in ipairs(redis.call('ZRANGE', KEYS[4], 0, 99)) do
  if redis.call('PUBLISH', ARGV[4], event) == 0 then
    break
  end
  redis.call('ZREM', KEYS[4], event)
end

local there = {}
for _, task in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  there[task] = (there[task] or 0) + 1
end
local lost = {}
for i = 6, #ARGV do
  local task = ARGV[i]
  if (there[task] or 0) > 0 then
    there[task] = there[task] - 1
  else
    lost[#lost + 1] = task
  end
end
return lost
