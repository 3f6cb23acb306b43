-- Deletes a session. Returns its last header, or nothing where there was no session.
local session = find()
if not session then return {} end
redis.call('UNLINK', KEY)
return {header(session)}
