-- Puts a session into lists. KEYS: for each list its key (scores are active_at) and the key of its expiry times.
-- ARGV: member, active_at, expiry time or '' (both in microseconds). Each call also removes some expired members.
for i = 1, #KEYS, 2 do
  local list, expiries = KEYS[i], KEYS[i + 1]
  redis.call('ZADD', list, ARGV[2], ARGV[1])
  if ARGV[3] == '' then redis.call('ZREM', expiries, ARGV[1]) else redis.call('ZADD', expiries, ARGV[3], ARGV[1]) end
  for _, expired in ipairs(redis.call('ZRANGE', expiries, '-inf', now(), 'BYSCORE', 'LIMIT', 0, 100)) do
    redis.call('ZREM', list, expired)
    redis.call('ZREM', expiries, expired)
  end
  -- If every member expires, the list itself expires together with the last one.
  local last = redis.call('ZRANGE', expiries, -1, -1, 'WITHSCORES')[2]
  if last and redis.call('ZCARD', list) == redis.call('ZCARD', expiries) then
    local at_ms = math.ceil(tonumber(last) / 1000)
    redis.call('PEXPIREAT', list, at_ms)
    redis.call('PEXPIREAT', expiries, at_ms)
  else
    redis.call('PERSIST', list)
    redis.call('PERSIST', expiries)
  end
end
