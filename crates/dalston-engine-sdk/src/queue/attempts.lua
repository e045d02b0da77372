-- The record of a task's attempts: a hash, which is kept for a while after its last change.
--
-- process:{nonce}   one for each process that has begun work on the task without an end
-- started           how many other processes had done so when task.started was last published
-- deferrals         how often the task was put back because something that it needs was unavailable
-- deferred_at       when that first happened, in ms
-- not_before        ms before which a stream hands the task to nobody
local function now_ms()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

local function read_attempts(key)
  local attempts, fields = {processes = 0}, redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 8) == 'process:' then
      attempts.processes = attempts.processes + 1
    else
      attempts[fields[i]] = fields[i + 1]
    end
  end
  return attempts
end

-- What a claim tells of the record: processes, deferrals, ms since the first of these, 1 if started.
local function attempts_reply(attempts)
  local deferred_ms = attempts.deferred_at and now_ms() - attempts.deferred_at or 0
  return {
    attempts.processes, tonumber(attempts.deferrals or 0), math.max(0, deferred_ms), attempts.started and 1 or 0,
  }
end

-- Records that the process has begun. Returns how many others have begun, if task.started is to be
-- published: for the first time, or because one more of the others has died over the task.
local function begin_attempt(key, nonce, kept_s)
  redis.call('HSET', key, 'process:' .. nonce, 1)
  redis.call('EXPIRE', key, kept_s)
  local attempts = read_attempts(key)
  local others = attempts.processes - 1
  return others > tonumber(attempts.started or -1) and others
end

-- Ends an attempt: 'completed', 'failed' or 'fatal'.
local function end_attempt(key, nonce, ending)
  if ending == 'completed' then
    redis.call('DEL', key)
    return
  end
  redis.call('HDEL', key, 'started', 'deferrals', 'deferred_at', 'not_before')
  if ending == 'failed' then
    redis.call('HDEL', key, 'process:' .. nonce)
  end
end

-- Takes an attempt back. `deferrals` is '' if the task is as before, else the new number of deferrals:
-- set, not raised, so that a repetition after a lost answer counts once.
local function withdraw_attempt(key, nonce, deferrals, delay_ms, kept_s)
  redis.call('HDEL', key, 'process:' .. nonce)
  if deferrals == '' then
    return
  end
  local now = now_ms()
  redis.call('HSET', key, 'deferrals', deferrals, 'not_before', now + delay_ms)
  redis.call('HSETNX', key, 'deferred_at', now)
  redis.call('EXPIRE', key, kept_s)
end

