-- Ends a task: acknowledges it, forgets its count and publishes its end, all or nothing.
--
-- KEYS  1 heartbeat   2 this worker's tasks   3 delivery count of the task
--       4 sorted set of events that nobody heard, by time in ms
-- ARGV  1 nonce   2 task   3 channel   4 event, empty for none   5 most events to keep
if redis.call('LREM', KEYS[2], 1, ARGV[2]) == 0 then
  return redis.error_reply('NOTHELD the task is not with this worker')
end
redis.call('DEL', KEYS[3])
if ARGV[4] ~= '' and redis.call('PUBLISH', ARGV[3], ARGV[4]) == 0 then
  local now = redis.call('TIME')
  redis.call('ZADD', KEYS[4], now[1] * 1000 + math.floor(now[2] / 1000), ARGV[4])
  redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -1 - tonumber(ARGV[5]))
end
return true
