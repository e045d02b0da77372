-- Comes before every script about one entry: only while it is this worker's.
--
-- KEYS  1 heartbeat   2 stream
-- ARGV  1 nonce   2 consumer   3 group   4 entry
local pending = redis.call('XPENDING', KEYS[2], ARGV[3], ARGV[4], ARGV[4], 1)[1]
if not pending or pending[2] ~= ARGV[2] then
  return redis.error_reply('NOTHELD the task is not with this worker')
end
