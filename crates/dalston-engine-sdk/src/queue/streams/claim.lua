-- Takes the next task: what this worker has but does not hold, what the dead left, what is new.
--
-- KEYS  1 heartbeat   2 stream   3 sorted set of workers
-- ARGV  1 nonce   2 lease in ms   3 consumer   4 group   5 prefix of task hashes
--       6 prefix of attempts   7 prefix of cancelled jobs   8 prefix of registry records
--       9 1 to look after the dead   10... the entries that the worker holds
-- Returns nil, or {entry, its fields, {attempts}, the task's hash, 1 if it is to be discarded}.
local stream, group, consumer = KEYS[2], ARGV[4], ARGV[3]
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
-- Fails when it is there, which is as well.
redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')

local now = now_ms()
local function take(id)
  local entry = redis.call('XRANGE', stream, id, id)[1]
  if not entry then
    -- The entry was deleted.
    redis.call('XACK', stream, group, id)
    return nil
  end
  local fields = {}
  for i = 1, #entry[2], 2 do
    fields[entry[2][i]] = entry[2][i + 1]
  end
  local task = fields.task_id or ''
  local attempts = read_attempts(ARGV[6] .. task)
  if now < tonumber(attempts.not_before or 0) then
    return nil
  end
  -- Idle for 0 ms from now on.
  redis.call('XCLAIM', stream, group, consumer, 0, id, 'JUSTID')
  local hash = read_hash(ARGV[5] .. task)
  local discard = redis.call('EXISTS', ARGV[7] .. (fields.job_id or ''))
  for i = 1, #hash, 2 do
    if hash[i] == 'blocked_reason' and hash[i + 1] ~= '' then
      discard = 1
    end
  end
  return {id, entry[2], attempts_reply(attempts), hash, discard}
end

local held = {}
for i = 10, #ARGV do
  held[ARGV[i]] = true
end
for _, entry in ipairs(redis.call('XPENDING', stream, group, '-', '+', 100, consumer)) do
  local task = not held[entry[1]] and take(entry[1])
  if task then
    return task
  end
end

if ARGV[9] == '1' then
  for _, entry in ipairs(redis.call('XPENDING', stream, group, 'IDLE', ARGV[2], '-', '+', 1000)) do
    local id, owner = entry[1], entry[2]
    -- Not one that a lost claim of this worker still stands for.
    local is_free = owner ~= consumer and not held[id] and is_lost(owner, entry[3], KEYS[3], ARGV[8])
    local task = is_free and take(id)
    if task then
      return task
    end
  end
end

local new = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', 1, 'STREAMS', stream, '>')
return new and take(new[1][2][1][1]) or false
