-- Comes before the scripts about one entry that need the entry to be this worker's.
--
-- KEYS  1 heartbeat   2 stream
-- ARGV  1 nonce   2 consumer   3 group   4 entry
if owner_of(KEYS[2], ARGV[3], ARGV[4]) ~= ARGV[2] then
  return redis.error_reply('NOTHELD the task is not with this worker')
end

