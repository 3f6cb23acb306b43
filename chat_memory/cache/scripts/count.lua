-- Add the counts of a batch to the sums of all processes. The first key is the sums, a HASH, the second the batch's mark.
-- ARGV: seconds to keep the mark, then name, count, name, count, ...
-- A batch whose mark is there was added already, by a call whose answer got lost. The mark comes last, so that a
-- failure before it changes nothing that a second call would not see.
-- Answers: the sums, name, count, name, count, ...
local mark = KEYS[2]
if #ARGV > 1 and redis.call('EXISTS', mark) == 0 then
  for at = 2, #ARGV, 2 do redis.call('HINCRBY', key, ARGV[at], ARGV[at + 1]) end
  redis.call('SET', mark, '', 'EX', ARGV[1])
end
return redis.call('HGETALL', key)
