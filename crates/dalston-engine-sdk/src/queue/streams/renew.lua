-- Renews the lease and the entries in work, tells which are lost, and takes care of what the dead left.
--
-- KEYS  1 heartbeat   2 stream   3 sorted set of workers
-- ARGV  1 nonce   2 lease in ms   3 consumer   4 group   5 prefix of heartbeats
--       6 prefix of registry records   7 prefix of marks of an end   8 1 to look after the dead
--       9... of each claim: entry, task, 1 if its lease has not lapsed since
-- Returns the numbers of the claims that the worker holds no more, from 1.
local stream, group, consumer, lease_ms = KEYS[2], ARGV[4], ARGV[3], ARGV[2]
local now = redis.call('TIME')[1]
redis.call('SET', KEYS[1], ARGV[1], 'PX', lease_ms)
redis.call('ZADD', KEYS[3], now, consumer)

local held, lost = {}, {}
for i = 9, #ARGV, 3 do
  local entry = ARGV[i]
  held[entry] = true
  -- Looked up first: XCLAIM would steal back an entry that another worker has taken over.
  if owner_of(stream, group, entry) == consumer then
    redis.call('XCLAIM', stream, group, consumer, 0, entry, 'JUSTID')
  elseif ARGV[i + 2] ~= '1' or not is_forgotten(stream, group, entry, ARGV[7] .. ARGV[i + 1]) then
    lost[#lost + 1] = (i - 6) / 3
  end
end
if ARGV[8] ~= '1' or redis.call('EXISTS', stream) == 0 then
  return lost
end

-- Every entry that waits gets a living owner and a short idle time, although no worker may be free.
local idle = redis.pcall('XPENDING', stream, group, 'IDLE', lease_ms, '-', '+', 1000)
for _, entry in ipairs(idle) do
  local id, owner = entry[1], entry[2]
  -- A living owner does this itself.
  local is_orphan = owner ~= consumer and redis.call('EXISTS', ARGV[5] .. owner) == 0
    and is_lost(owner, entry[3], KEYS[3], ARGV[6])
  -- Never one that a claim here stands for: the claim was told lost, and must not become good again.
  if not held[id] and (owner == consumer or is_orphan) then
    lay_out(stream, group, consumer, id, lease_ms)
  end
end

-- Workers that were dead for an hour are forgotten, but no pending entry is.
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - 3600)) do
  local pending = redis.pcall('XPENDING', stream, group, '-', '+', 1, worker)
  if #pending == 0 then
    redis.pcall('XGROUP', 'DELCONSUMER', stream, group, worker)
    redis.call('ZREM', KEYS[3], worker)
  end
end
return lost
