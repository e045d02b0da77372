-- Renews the lease and the entries in work, and tells which are lost.
--
-- KEYS  1 heartbeat   2 stream   3 sorted set of workers
-- ARGV  1 nonce   2 lease in ms   3 consumer   4 group   5... the entries that the worker holds
-- Returns those that it holds no more.
local now = redis.call('TIME')[1]
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[3], now, ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - 86400)

local lost = {}
for i = 5, #ARGV do
  -- Looked up first: XCLAIM would steal back an entry that another worker has taken over.
  -- Where there is no such group any more the answer is an error, and the entry lost.
  local pending = redis.pcall('XPENDING', KEYS[2], ARGV[4], ARGV[i], ARGV[i], 1)[1]
  if pending and pending[2] == ARGV[3] then
    redis.call('XCLAIM', KEYS[2], ARGV[4], ARGV[3], 0, ARGV[i], 'JUSTID')
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
