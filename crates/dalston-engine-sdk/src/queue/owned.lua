-- Comes before every script of a worker: only the process that holds the worker id goes on.
--
-- KEYS  1 heartbeat of the id
-- ARGV  1 nonce of this process
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return redis.error_reply('SUPERSEDED the worker id is held by another process')
end
