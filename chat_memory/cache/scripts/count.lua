-- Add a batch of counts to the sums of all processes.
-- KEYS: the sums, a HASH; the number of the last batch of this process, a STRING.
-- ARGV: seconds to keep the batch number, the number of this batch, then name, count, name, count, ...
-- A batch is skipped if its number, or a larger one, is stored: it was added by a call whose reply was lost.
-- HLEN fails if the key has another type, before anything is added. A sum that is no number is set to the new count.
-- Returns: the sums as name, count, name, count, ...
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
