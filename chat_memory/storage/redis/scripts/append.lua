-- Appends messages. ARGV: version token, ttl in ms or '', if_version or '', user key, title as JSON or '' (for a session
-- without one), id of a new session or '' (then none is created), id of its workspace; then for each message: id,
-- fingerprint, turns it begins or 's' for a system message, time, text. All refusals are returned before the first write.
local vtoken, ttl, if_version, user_key, title = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local WIDTH = 5
local session, made = find(), 0
if not session then
  if ARGV[6] == '' then return {'absent'} end
  session, made = create(ARGV[6], ARGV[7], user_key, '0'), 1
end

local places, fresh = {}, {}
for at = 8, #ARGV, WIDTH do
  local stored = redis.call('HGET', KEY, 'i:' .. ARGV[at])
  if stored then
    local seq, fingerprint = stored:match('^(%d+):(%x+)$')
    if fingerprint ~= ARGV[at + 1] then return {'conflict', ARGV[at]} end
    places[#places + 1] = {tonumber(seq), redis.call('HGET', KEY, 'm:' .. seq)}
  else
    fresh[#fresh + 1] = at
    places[#places + 1] = {session.last_seq + #fresh, false}
  end
end
if #fresh == 0 then return {'known', header(session), places, 0, 0} end
if if_version ~= '' and tonumber(if_version) ~= session.version then return {'version', session.version} end

if title ~= '' and session.last_turn == 0 and (redis.call('HGET', KEY, 'title') or '""') == '""' then
  session.title, session.title_made = title, 'true'
end
for i, at in ipairs(fresh) do
  local seq = session.last_seq + i
  redis.call('HSET', KEY, 'i:' .. ARGV[at], seq .. ':' .. ARGV[at + 1], 'm:' .. seq, ARGV[at + 4])
  if ARGV[at + 2] == 's' then
    session.systems = session.systems + 1
    redis.call('HSET', KEY, 's:' .. session.systems, seq)
  else
    session.last_turn = session.last_turn + tonumber(ARGV[at + 2])
  end
  session.active_at = ARGV[at + 3]
end
session.last_seq = session.last_seq + #fresh
if session.user_key == '' then session.user_key, session.linked = user_key, LINKED end
move(session, vtoken)
keep(session, ttl)
return {'stored', header(session), places, #fresh, made}
