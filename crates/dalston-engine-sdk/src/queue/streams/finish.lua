-- Ends a task: publishes its end, acknowledges it and marks it as ended, all or nothing.
--
-- KEYS  1 heartbeat   2 stream   3 attempts   4 mark of the task's end   5 stream of events
-- ARGV  1 nonce   2 consumer   3 group   4 entry   5 token of the claim   6 seconds to keep the mark
--       7 1 if the lease has not lapsed since the claim   8 completed, failed or fatal
--       9 channel   10 event   11 most events to keep
--       12... fields of the event; none to end the task without a word
if redis.call('GET', KEYS[4]) == ARGV[5] then
  -- Repeated, because the answer got lost.
  return true
end
local is_owned = owner_of(KEYS[2], ARGV[3], ARGV[4]) == ARGV[2]
if not is_owned and not (ARGV[7] == '1' and is_forgotten(KEYS[2], ARGV[3], ARGV[4], KEYS[4])) then
  return redis.error_reply('NOTHELD the task is not with this worker')
end
if #ARGV >= 12 then
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[11], '*', unpack(ARGV, 12))
  -- Only wakes the readers of the stream. Were it refused after the XADD, a repetition would tell twice.
  redis.pcall('PUBLISH', ARGV[9], ARGV[10])
end
redis.call('SET', KEYS[4], ARGV[5], 'EX', ARGV[6])
end_attempt(KEYS[3], ARGV[1], ARGV[8])
redis.call('XACK', KEYS[2], ARGV[3], ARGV[4])
return true
