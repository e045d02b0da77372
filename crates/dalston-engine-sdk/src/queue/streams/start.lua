-- Says that work on a task begins: records the attempt and publishes the event, if it is not known.
--
-- KEYS  1 heartbeat   2 stream   3 attempts   4 mark of the task's end   5 stream of events
--       6 hash of the task   7 set of tasks that wait for an engine
-- ARGV  1 nonce   2 consumer   3 group   4 entry   5 task   6 seconds to keep the attempts
--       7 channel   8 event   9 most events to keep   10... fields of the event
local others = begin_attempt(KEYS[3], ARGV[1], ARGV[6])
-- The mark is that of an earlier end: the orchestrator queues a failed task again under its id.
redis.call('DEL', KEYS[4])
redis.call('HDEL', KEYS[6], 'waiting_for_engine', 'wait_deadline_at', 'wait_timeout_s', 'wait_enqueued_at')
redis.call('SREM', KEYS[7], ARGV[5])
if others then
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[9], '*', unpack(ARGV, 10))
  redis.call('HSET', KEYS[3], 'started', others)
  -- Only wakes the readers of the stream. Were it refused after the XADD, a repetition would tell twice.
  redis.pcall('PUBLISH', ARGV[7], ARGV[8])
end
return true
