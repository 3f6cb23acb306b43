-- Deletes a session, also from the lists that the caller has named. Returns its last header, or nothing where there was
-- no session.
local session = find()
if not session then return {} end
redis.call('UNLINK', KEY)
for i = 2, #KEYS do redis.call('ZREM', KEYS[i], session.id .. NAME) end
return {header(session)}
