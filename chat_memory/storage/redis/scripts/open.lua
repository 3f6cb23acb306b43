-- Returns a session, created if there is none. ARGV: version token, ttl in ms or '', user key, id of a new session or ''
-- (then none is created), id of its workspace, then names and values of its fields.
local session, made = find(), 0
if not session then
  if ARGV[4] == '' then return {'absent'} end
  session, made = create(ARGV[4], ARGV[5], ARGV[3], ARGV[1]), 1
  for at = 6, #ARGV, 2 do session[ARGV[at]] = ARGV[at + 1] end
  session.active_at = session.created_at
  session.base_seq = tonumber(session.base_seq)
  session.last_seq, session.version = session.base_seq, 1
  keep(session, ARGV[2])
end
return {made, header(session), record(session)}
