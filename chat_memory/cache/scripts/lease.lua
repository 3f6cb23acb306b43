-- bounded: return the entry if it is new enough; otherwise give one caller the lease to fill it.
-- A hit costs several times as much as a plain LRANGE, so callers use this script where they expect a miss.
-- ARGV: format, lease, smallest acceptable version, number of elements to return
-- Giving the lease deletes the key's old value. The age of the new entry counts from now, before the database is read.
-- Returns: {milliseconds until it expires, {element, ...}}, 'lease', or 'busy' (another caller has the lease)
local now = milliseconds()
local h = load()
local least = tonumber(ARGV[3])
if h then
  if is_newer(h.format) then return 'busy' end -- the key is of a newer release and must not be changed
  -- A lease that would live longer than any is not one of ours, and would keep the session out of the cache.
  if h.state == 'L' and h.expires > now and h.expires <= now + LEASE_MS then return 'busy' end
  if h.state == 'V' and h.format == ARGV[1] then
    if h.version >= least then return {redis.call('PTTL', key), redis.call('LRANGE', key, -ARGV[4], -1)} end
    least = math.max(least, h.version)
  elseif h.state == 'L' then
    least = math.max(least, h.least)
  end
end
local blank = {
  state = 'L', format = ARGV[1], version = 0, token = '', session = '', ident = '', extent = '0', least = least,
  lease = ARGV[2], expires = now + LEASE_MS, weight = 0,
}
redis.call('DEL', key)
redis.call('RPUSH', key, text_of(blank))
redis.call('PEXPIRE', key, whole_number(LEASE_MS + 50))
return 'lease'
