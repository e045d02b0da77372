-- Leaves: every task of this worker goes back, next in line, and the worker id is free.
--
-- KEYS  1 heartbeat   2 sorted set of workers   3 this worker's tasks   4 queue
-- ARGV  1 nonce   2 worker id
while redis.call('LMOVE', KEYS[3], KEYS[4], 'LEFT', 'RIGHT') do end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
return true
