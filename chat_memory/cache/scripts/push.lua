-- Add what one committed append stored, if the entries are exactly its predecessor; else drop them.
-- ARGV: format, session, prev_version, prev_token, version, token, ident, cap, ttl_ms, cut, entries...
--   ttl_ms '': left as it is, 'none': for ever
--   cut '1': the append stored more than cap messages, and only the newest of them follow
-- An absent key stays absent: only a whole read makes an entry. The entries that follow weigh at most HEAVIEST together;
-- with what is there they may be heavier, and then the oldest go.
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
h.weight = h.weight + weight_from(ENTRIES)
local surplus = redis.call('LLEN', key) - cap
if ARGV[10] == '1' then h.extent = '0' end
while surplus > 0 or h.weight > HEAVIEST do
  local oldest = redis.call('LPOP', key)
  if not oldest then return 'dropped' end -- somebody else took some of them, and the key is gone
  h.weight, h.extent = h.weight - #oldest, surplus > 0 and '0' or 'cut'
  surplus = surplus - 1
end
h.version, h.token, h.ident, h.least = version, ARGV[6], ARGV[7], version
redis.call('RPUSH', key, text_of(h))
if ARGV[9] == 'none' then
  redis.call('PERSIST', key)
elseif ARGV[9] ~= '' then
  redis.call('PEXPIRE', key, ARGV[9])
end
return 'pushed'
