-- Sets fields of a session. ARGV: version token, ttl in ms or '', if_version or '', then names and values.
local session = find()
if not session then return {'absent'} end
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= session.version then return {'version', session.version} end
move(session, ARGV[1])
for at = 4, #ARGV, 2 do session[ARGV[at]] = ARGV[at + 1] end
keep(session, ARGV[2])
return {0, header(session), record(session)}
