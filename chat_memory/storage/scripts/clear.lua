-- ARGV: vtoken, life. The messages stay, hidden, so that a late retry of one of them is still known.
local session = find()
if not session or session.base_seq == session.last_seq then return {'absent'} end
session.base_seq = session.last_seq
move(session, ARGV[1])
keep(session, ARGV[2])
return {'stored', header(session)}
