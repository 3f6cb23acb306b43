-- Add what one committed append stored, if the entries are exactly its predecessor; else drop them.
-- ARGV: format, session, prev_version, prev_token, version, token, ident, cap, ttl_ms, cut, entries...
--   ttl_ms '': left as it is, 'none': for ever
--   cut '1': the append stored more than cap messages, and only the newest of them follow
-- An absent key stays absent: only a whole read makes an entry (FEATURES N02, N03).
-- Answers: 'pushed' 'absent' 'leased' 'old' 'dropped'
local ENTRIES = 11
local h = load()
if not h then return 'absent' end
local version = tonumber(ARGV[5])
if h.state == 'L' then
  h.least = math.max(h.least, version)
  redis.call('LSET', key, -1, text_of(h))
  return 'leased'
end
if h.session == ARGV[2] and (h.version > version or (h.version == version and h.token == ARGV[6])) then
  return 'old'
end
if h.session ~= ARGV[2] or h.version ~= tonumber(ARGV[3]) or h.token ~= ARGV[4] or h.format ~= ARGV[1] then
  redis.call('DEL', key)
  return 'dropped'
end

local cap = tonumber(ARGV[8])
redis.call('LSET', key, -1, ARGV[ENTRIES]) -- not popped: a list that is empty for a moment loses its expiry
push_from(ENTRIES + 1)
if ARGV[10] == '1' or redis.call('LLEN', key) > cap then
  redis.call('LTRIM', key, -cap, -1)
  h.whole = '0'
end
h.version, h.token, h.ident, h.least = version, ARGV[6], ARGV[7], version
redis.call('RPUSH', key, text_of(h))
if ARGV[9] == 'none' then
  redis.call('PERSIST', key)
elseif ARGV[9] ~= '' then
  redis.call('PEXPIRE', key, ARGV[9])
end
return 'pushed'
