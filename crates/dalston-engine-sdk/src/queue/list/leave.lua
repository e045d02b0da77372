-- Leaves: every task of this worker goes back, next in line, and the worker id is free. It stays known as
-- one of the dead, because the server may still hand a task to a connection that it has closed.
--
-- KEYS  1 heartbeat   2 sorted set of workers   3 this worker's tasks   4 queue   5 tasks in flight
-- ARGV  1 nonce   2 worker id
requeue_all(KEYS[3], KEYS[4], KEYS[5])
redis.call('DEL', KEYS[1])
redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[2])
return true
