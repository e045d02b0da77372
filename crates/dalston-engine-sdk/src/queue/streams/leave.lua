-- Leaves: every pending task may be claimed at once, the worker id is free, the record is gone.
--
-- KEYS  1 stream   2 heartbeat   3 record in the registry   4... sets of the registry
-- ARGV  1 nonce   2 consumer   3 group
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then
  return redis.error_reply('SUPERSEDED the worker id is held by another process')
end
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[3], '-', '+', 1000, ARGV[2])
for _, entry in ipairs(pending) do
  redis.call('XCLAIM', KEYS[1], ARGV[3], ARGV[2], 0, entry[1], 'IDLE', 86400000, 'JUSTID')
end
redis.call('DEL', KEYS[2], KEYS[3])
for i = 4, #KEYS do
  redis.call('SREM', KEYS[i], ARGV[2])
end
return true
