-- The header of the session that is gone, or nothing.
local session = find()
if not session then return {} end
redis.call('UNLINK', KEY)
return {header(session)}
