-- Ends a task: publishes its end, acknowledges it and forgets its count, all or nothing.
--
-- KEYS  1 heartbeat   2 stream   3 delivery count   4 stream of events
-- ARGV  1 nonce   2 consumer   3 group   4 entry   5 channel   6 event   7 most events to keep
--       8... fields of the event; none to end the task without a word
if #ARGV >= 8 then
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[7], '*', unpack(ARGV, 8))
  redis.call('PUBLISH', ARGV[5], ARGV[6])
end
redis.call('XACK', KEYS[2], ARGV[3], ARGV[4])
redis.call('DEL', KEYS[3])
return true
