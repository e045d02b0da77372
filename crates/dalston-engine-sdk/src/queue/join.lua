-- Takes a worker id, or keeps it.
--
-- KEYS  1 heartbeat of the id   2 sorted set of workers, by when they were last seen
-- ARGV  1 nonce of this process   2 lease in ms   3 worker id
-- Returns 0 when the id is this process's now, else the ms for which it is still somebody else's.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return math.max(1, redis.call('PTTL', KEYS[1]))
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[3])
return 0
