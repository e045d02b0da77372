-- Says that work on a task begins: records the attempt and publishes the event, if it is not known.
--
-- KEYS  1 heartbeat   2 this worker's tasks   3 attempts   4 mark of the task's end
-- ARGV  1 nonce   2 task   3 seconds to keep the attempts   4 channel   5 event
local others = begin_attempt(KEYS[3], ARGV[1], ARGV[3])
-- The mark is that of an earlier end: the orchestrator queues a failed task again under its id.
redis.call('DEL', KEYS[4])
if others then
  -- A refusal ends the script here, and the report is repeated.
  redis.call('PUBLISH', ARGV[4], ARGV[5])
  redis.call('HSET', KEYS[3], 'started', others)
end
return true
