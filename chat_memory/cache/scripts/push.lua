-- Add the messages of one committed append to the entry if it is exactly the append's predecessor; else delete it.
-- ARGV: format, session, prev_version, prev_token, version, token, ident, cap, ttl_ms, cut, messages...
--   cap: the maximum number of messages in the entry
--   ttl_ms: '': the expiry stays as it is; 'none': the entry never expires
--   cut: '1': the append stored more than cap messages, and only the newest of them are passed
-- An absent key stays absent: only a fill creates an entry. The messages passed have at most HEAVIEST bytes; if the
-- entry then has more messages than cap or more bytes than HEAVIEST, its oldest messages are removed.
-- Returns: 'pushed', 'absent', 'leased', 'old' (the entry has this change or a later one already), 'dropped'
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
redis.call('LSET', key, -1, ARGV[ENTRIES]) -- RPOP could empty the list, and an empty list loses its expiry
push_from(ENTRIES + 1)
h.weight = h.weight + weight_from(ENTRIES)
local surplus = redis.call('LLEN', key) - cap
if ARGV[10] == '1' then h.extent = '0' end
while surplus > 0 or h.weight > HEAVIEST do
  local oldest = redis.call('LPOP', key)
  if not oldest then return 'dropped' end -- another program had removed elements; the list is empty and the key gone
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
