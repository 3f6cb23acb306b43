-- Puts a session into lists. KEYS: pairs of a list (by last change) and its expiries. ARGV: member, last change, expiry
-- or '' (microseconds). Each call takes out some of those that have expired since.
for i = 1, #KEYS, 2 do
  local list, expiries = KEYS[i], KEYS[i + 1]
  redis.call('ZADD', list, 'GT', ARGV[2], ARGV[1])
  if ARGV[3] == '' then redis.call('ZREM', expiries, ARGV[1]) else redis.call('ZADD', expiries, ARGV[3], ARGV[1]) end
  for _, gone in ipairs(redis.call('ZRANGE', expiries, '-inf', now(), 'BYSCORE', 'LIMIT', 0, 100)) do
    redis.call('ZREM', list, gone)
    redis.call('ZREM', expiries, gone)
  end
  -- A list in which everything expires goes with the last of it.
  local last = redis.call('ZRANGE', expiries, -1, -1, 'WITHSCORES')[2]
  if last and redis.call('ZCARD', list) == redis.call('ZCARD', expiries) then
    local life = math.ceil(tonumber(last) / 1000)
    redis.call('PEXPIREAT', list, life)
    redis.call('PEXPIREAT', expiries, life)
  else
    redis.call('PERSIST', list)
    redis.call('PERSIST', expiries)
  end
end
