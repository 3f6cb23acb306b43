-- Whether scripts may run here and write, under a key that holds nothing.
-- Answers: 'served'
redis.call('SET', key, '', 'PX', 1000)
redis.call('DEL', key)
return 'served'
