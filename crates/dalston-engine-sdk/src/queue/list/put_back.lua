-- Gives a task back, next in line, its count as it was.
--
-- KEYS  1 heartbeat   2 this worker's tasks   3 delivery count of the task   4 queue
-- ARGV  1 nonce   2 task   3 the count before the start   4 seconds to keep it
if redis.call('LREM', KEYS[2], 1, ARGV[2]) == 0 then
  return redis.error_reply('NOTHELD the task is not with this worker')
end
redis.call('RPUSH', KEYS[4], ARGV[2])
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[3])
else
  redis.call('SET', KEYS[3], ARGV[3], 'EX', ARGV[4])
end
return true
