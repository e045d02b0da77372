-- Says that work on a task begins: sets its count of deliveries and publishes the event.
--
-- KEYS  1 heartbeat   2 stream   3 delivery count   4 stream of events   5 hash of the task
--       6 set of tasks that wait for an engine
-- ARGV  1 nonce   2 consumer   3 group   4 entry   5 task   6 the new count   7 seconds to keep it
--       8 channel   9 event   10 most events to keep   11... fields of the event
-- Set, not raised: a repetition after a lost answer counts once.
redis.call('SET', KEYS[3], ARGV[6], 'EX', ARGV[7])
redis.call('HDEL', KEYS[5], 'waiting_for_engine', 'wait_deadline_at', 'wait_timeout_s', 'wait_enqueued_at')
redis.call('SREM', KEYS[6], ARGV[5])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[10], '*', unpack(ARGV, 11))
redis.call('PUBLISH', ARGV[8], ARGV[9])
return true
