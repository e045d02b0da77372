-- Gives a task back: next in line, or behind all that wait if there is a delay.
--
-- KEYS  1 heartbeat   2 this worker's tasks   3 attempts   4 mark of the task's end   5 tasks in flight
--       6 queue
-- ARGV  1 nonce   2 task   3 the new number of deferrals, empty if it stays   4 delay in ms
--       5 seconds to keep the attempts
withdraw_attempt(KEYS[3], ARGV[1], ARGV[3], ARGV[4], ARGV[5])
redis.call('LREM', KEYS[2], 1, ARGV[2])
redis.call(ARGV[4] == '0' and 'RPUSH' or 'LPUSH', KEYS[6], ARGV[2])
redis.call('ZREM', KEYS[5], ARGV[2])
return true
