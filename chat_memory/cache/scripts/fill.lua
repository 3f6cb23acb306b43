-- Write an entry with what was read from the database, in one step.
-- ARGV: format, lease ('' = strict), version, token, session, ident, extent, ttl_ms ('' = none), insist, messages...
--   strict: any reader may fill; an entry of a newer version of the same session is overwritten only if insist is '1'
--   bounded: only the holder of the lease may fill, before the lease expires, with at least the version 'least'
-- Returns: 'filled', 'unleased' (no valid lease), 'old' (version too small), 'newer' (the key is of a newer release)
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
