-- The fields of a task's hash. Something else in its place is as good as no hash: the task then fails, and
-- holds up no other. Any other refusal is the server's, and ends the script as ever.
local function read_hash(key)
  local hash = redis.pcall('HGETALL', key)
  if hash.err and string.find(hash.err, 'WRONGTYPE', 1, true) then
    return {}
  end
  return hash.err and redis.call('HGETALL', key) or hash
end

