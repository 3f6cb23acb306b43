-- Check that this server runs scripts and accepts writes; the key must be used for nothing else.
-- Returns: 'served'
redis.call('SET', key, '', 'PX', 1000)
redis.call('DEL', key)
return 'served'
