-- Store what was read from the database, all at once.
-- ARGV: format, lease ('' = strict), version, token, session, ident, extent, ttl_ms ('' = none), insist, entries...
--   strict: any reader may fill, but not under a newer version of the same session, unless it insists
--   bounded: only the holder of the lease, while it lasts, and nothing older than a writer has announced
-- Answers: 'filled' 'unleased' 'old' 'newer'
local ENTRIES = 10
local format, lease, version = ARGV[1], ARGV[2], tonumber(ARGV[3])
local h = load()
if h and is_newer(h.format) then return 'newer' end
local since = milliseconds()
if lease ~= '' then
  if not h or h.state ~= 'L' or h.lease ~= lease or h.expires <= since then return 'unleased' end
  if version < h.least then return 'old' end
  since = h.expires - LEASE_MS
elseif h and h.format == format and h.session == ARGV[5] and h.version > version and ARGV[9] ~= '1' then
  return 'old'
end

redis.call('DEL', key)
push_from(ENTRIES)
redis.call('RPUSH', key, text_of({
  state = 'V', format = format, version = version, token = ARGV[4], session = ARGV[5], ident = ARGV[6],
  extent = ARGV[7], least = version, lease = '', expires = 0, weight = weight_from(ENTRIES),
}))
if ARGV[8] ~= '' then redis.call('PEXPIREAT', key, whole_number(since + tonumber(ARGV[8]))) end
return 'filled'
