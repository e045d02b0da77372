-- Leaves: every pending task may be claimed at once, the worker id is free, the record is gone.
--
-- KEYS  1 heartbeat   2 stream   3 record in the registry   4... sets of the registry
-- ARGV  1 nonce   2 consumer   3 group   4 lease in ms
local pending = redis.pcall('XPENDING', KEYS[2], ARGV[3], '-', '+', 1000, ARGV[2])
for _, entry in ipairs(pending) do
  lay_out(KEYS[2], ARGV[3], ARGV[2], entry[1], ARGV[4])
end
-- A consumer takes its pending entries with it, so it goes only without any.
if #pending == 0 then
  redis.pcall('XGROUP', 'DELCONSUMER', KEYS[2], ARGV[3], ARGV[2])
end
redis.call('DEL', KEYS[1], KEYS[3])
for i = 4, #KEYS do
  redis.call('SREM', KEYS[i], ARGV[2])
end
return true
