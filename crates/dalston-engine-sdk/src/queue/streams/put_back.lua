-- Gives a task back, its count as it was. The entry stays where Dalston's reconciler looks for it, in
-- the list of pending ones, but idle for a day, so that any worker may claim it.
--
-- KEYS  1 heartbeat   2 stream   3 delivery count
-- ARGV  1 nonce   2 consumer   3 group   4 entry   5 the count before the start   6 seconds to keep it
redis.call('XCLAIM', KEYS[2], ARGV[3], ARGV[2], 0, ARGV[4], 'IDLE', 86400000, 'JUSTID')
if ARGV[5] == '0' then
  redis.call('DEL', KEYS[3])
else
  redis.call('SET', KEYS[3], ARGV[5], 'EX', ARGV[6])
end
return true
