-- Ends a task: publishes its end, marks it as ended and removes it, all or nothing.
--
-- KEYS  1 heartbeat   2 this worker's tasks   3 attempts   4 mark of the task's end   5 tasks in flight
--       6 queue   7 sorted set of workers   8 sorted set of events that nobody heard, by time in ms
-- ARGV  1 nonce   2 task   3 token of the claim   4 seconds to keep the mark
--       5 1 if the lease has not lapsed since the claim   6 completed, failed or fatal
--       7 prefix of workers' tasks   8 channel   9 event, empty for none   10 most events to keep
if redis.call('GET', KEYS[4]) == ARGV[3] then
  -- Repeated, because the answer got lost.
  return true
end
if not redis.call('LPOS', KEYS[2], ARGV[2])
  and not (ARGV[5] == '1' and is_forgotten(ARGV[2], KEYS[6], KEYS[7], ARGV[7], KEYS[4])) then
  return redis.error_reply('NOTHELD the task is not with this worker')
end
-- The first write: a server that has no room for it refuses it, and nothing is published.
redis.call('SET', KEYS[4], ARGV[3], 'EX', ARGV[4])
if ARGV[9] ~= '' then
  -- Before the task is removed: the channel may be forbidden. The report is then repeated.
  local heard = redis.pcall('PUBLISH', ARGV[8], ARGV[9])
  if type(heard) == 'table' then
    redis.call('DEL', KEYS[4])
    return heard
  elseif heard == 0 then
    redis.call('ZADD', KEYS[8], now_ms(), ARGV[9])
    redis.call('ZREMRANGEBYRANK', KEYS[8], 0, -1 - tonumber(ARGV[10]))
  end
end
end_attempt(KEYS[3], ARGV[1], ARGV[6])
redis.call('ZREM', KEYS[5], ARGV[2])
redis.call('LREM', KEYS[2], 1, ARGV[2])
return true
