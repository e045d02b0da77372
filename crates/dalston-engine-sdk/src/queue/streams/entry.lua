-- The worker that an entry is pending for; nil if for none, or if there is no group.
local function owner_of(stream, group, entry)
  local pending = redis.pcall('XPENDING', stream, group, entry, entry, 1)[1]
  return pending and pending[2]
end

-- Whether the server has forgotten an entry that nobody has ended: it is pending for nobody, not in the
-- stream, where it would be delivered again, and without the mark of an end.
local function is_forgotten(stream, group, entry, ended)
  return not owner_of(stream, group, entry)
    and #redis.call('XRANGE', stream, entry, entry) == 0
    and redis.call('EXISTS', ended) == 0
end

