-- Add the counts of a batch to the sums of all processes. The first key is the sums, a HASH, the second the mark of the
-- process, which has the number of its last batch.
-- ARGV: seconds to keep the mark, the number of the batch, then name, count, name, count, ...
-- A batch whose number is there, or a larger one, was added already, by a call whose answer got lost. What fails fails
-- before anything is added, by the first command; a sum that is no number begins anew.
-- Answers: the sums, name, count, name, count, ...
local mark = KEYS[2]
redis.call('HLEN', key)
if #ARGV > 2 and (tonumber(redis.call('GET', mark)) or 0) < tonumber(ARGV[2]) then
  for at = 3, #ARGV, 2 do
    local sum = redis.pcall('HINCRBY', key, ARGV[at], ARGV[at + 1])
    if type(sum) == 'table' then redis.call('HSET', key, ARGV[at], ARGV[at + 1]) end
  end
  redis.call('SET', mark, ARGV[2], 'EX', ARGV[1])
end
return redis.call('HGETALL', key)
