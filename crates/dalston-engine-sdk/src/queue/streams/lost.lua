-- Whether an entry that was idle for a lease is that of a dead worker.
--
-- Workers like this one renew what they hold well within a lease, so an idle entry of theirs is lost: its
-- worker died, or has put it back. Engines that renew nothing are left in peace until Dalston's own rule
-- calls them dead: ten minutes of idleness, and a record in the registry that is gone (it lives for 60 s) or
-- says so.
local function is_lost(owner, idle_ms, workers, records)
  if redis.call('ZSCORE', workers, owner) then
    return true
  end
  return idle_ms >= 600000 and (redis.call('HGET', records .. owner, 'status') or 'offline') == 'offline'
end

-- Makes an entry this worker's, or keeps it so, idle for just above a lease: so any worker may claim it at
-- once, and Dalston's scanner, which fails a task that was idle for ten minutes, is far from it.
local function lay_out(stream, group, consumer, entry, lease_ms)
  redis.call('XCLAIM', stream, group, consumer, 0, entry, 'IDLE', lease_ms + 1000, 'JUSTID')
end

