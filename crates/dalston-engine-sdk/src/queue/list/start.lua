-- Says that work on a task begins: sets its count of deliveries and publishes the event.
--
-- KEYS  1 heartbeat   2 this worker's tasks   3 delivery count of the task
-- ARGV  1 nonce   2 task   3 the new count   4 seconds to keep it   5 channel   6 event
if not redis.call('LPOS', KEYS[2], ARGV[2]) then
  return redis.error_reply('NOTHELD the task is not with this worker')
end
-- Set, not raised: a repetition after a lost answer counts once.
redis.call('SET', KEYS[3], ARGV[3], 'EX', ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[6])
return true
