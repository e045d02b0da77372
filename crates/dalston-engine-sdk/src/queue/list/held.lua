-- Comes before the scripts about one task that need the task to be this worker's.
--
-- KEYS  1 heartbeat   2 this worker's tasks
-- ARGV  1 nonce   2 task
if not redis.call('LPOS', KEYS[2], ARGV[2]) then
  return redis.error_reply('NOTHELD the task is not with this worker')
end

