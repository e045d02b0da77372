-- Moves all tasks of a worker back to the queue: newest first, each to the end that is next in line, so the
-- oldest comes out first.
local function requeue_all(tasks, queue, at_work)
  while true do
    local task = redis.call('LMOVE', tasks, queue, 'LEFT', 'RIGHT')
    if not task then
      return
    end
    redis.call('ZREM', at_work, task)
  end
end

