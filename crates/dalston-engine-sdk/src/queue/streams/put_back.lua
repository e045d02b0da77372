-- Gives a task back. The entry stays where Dalston's reconciler looks for it, in the list of pending ones,
-- but so that any worker may claim it.
--
-- KEYS  1 heartbeat   2 stream   3 attempts
-- ARGV  1 nonce   2 consumer   3 group   4 entry   5 lease in ms
--       6 the new number of deferrals, empty if it stays   7 ms before which nobody takes it
--       8 seconds to keep the attempts
withdraw_attempt(KEYS[3], ARGV[1], ARGV[6], ARGV[7], ARGV[8])
lay_out(KEYS[2], ARGV[3], ARGV[2], ARGV[4], ARGV[5])
return true
