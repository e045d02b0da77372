-- Takes the next task: what this worker has but does not hold, what the dead left, what is new.
--
-- KEYS  1 heartbeat   2 queue   3 this worker's tasks   4 sorted set of workers   5 tasks in flight
-- ARGV  1 nonce   2 lease in ms   3 worker id   4 prefix of heartbeats   5 prefix of workers' tasks
--       6 prefix of task hashes   7 prefix of attempts   8 1 to look after the dead
--       9... the tasks that the worker holds
-- Returns nil, or {task, {attempts}, its hash}.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])

-- Handed out to this worker, but the answer never arrived, or an earlier process had it.
local held = {}
for i = 9, #ARGV do
  held[ARGV[i]] = (held[ARGV[i]] or 0) + 1
end
for _, task in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  if (held[task] or 0) > 0 then
    held[task] = held[task] - 1
  else
    redis.call('LREM', KEYS[3], 1, task)
    redis.call('RPUSH', KEYS[2], task)
    redis.call('ZREM', KEYS[5], task)
  end
end

-- The dead stay known for an hour, because a server may still hand a task to a lost connection.
if ARGV[8] == '1' then
  local forget = tonumber(redis.call('TIME')[1]) - 3600
  local workers = redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES')
  for i = 1, #workers, 2 do
    local worker = workers[i]
    if worker ~= ARGV[3] and redis.call('EXISTS', ARGV[4] .. worker) == 0 then
      requeue_all(ARGV[5] .. worker, KEYS[2], KEYS[5])
      if tonumber(workers[i + 1]) < forget then
        redis.call('ZREM', KEYS[4], worker)
      end
    end
  end
end

local task = redis.call('LMOVE', KEYS[2], KEYS[3], 'RIGHT', 'LEFT')
if not task then
  return false
end
redis.call('ZADD', KEYS[5], now_ms(), task)
return {task, attempts_reply(read_attempts(ARGV[7] .. task)), read_hash(ARGV[6] .. task)}
