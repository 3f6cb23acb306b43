-- Hides all messages. ARGV: version token, ttl in ms or ''. The messages stay stored, so that a late retry of one is
-- still recognised. Returns the position of the first message it has hidden.
local session = find()
if not session or session.base_seq == session.last_seq then return {'absent'} end
local first = session.base_seq + 1
session.base_seq = session.last_seq
move(session, ARGV[1])
keep(session, ARGV[2])
return {'stored', header(session), first}
