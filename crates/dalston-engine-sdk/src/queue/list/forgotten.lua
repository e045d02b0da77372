-- Whether the server has forgotten a task that nobody has ended: it is with no worker, not in the queue, and
-- without the mark of an end.
local function is_forgotten(task, queue, workers, tasks_prefix, ended)
  if redis.call('EXISTS', ended) == 1 or redis.call('LPOS', queue, task) then
    return false
  end
  for _, worker in ipairs(redis.call('ZRANGE', workers, 0, -1)) do
    if redis.call('LPOS', tasks_prefix .. worker, task) then
      return false
    end
  end
  return true
end

