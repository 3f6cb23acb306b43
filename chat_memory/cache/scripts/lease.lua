-- Give the entry if it is new enough, else the right to fill to one caller: for `bounded`, whose entries nothing but
-- their age can refuse. A hit costs several times a plain LRANGE here: for who expects a miss.
-- ARGV: format, lease, least version, elements
-- With the lease what the key held is gone; the age of what will be filled counts from here, before it is read.
-- Answers: {milliseconds to live, {element, ...}} 'lease' 'busy'
local now = milliseconds()
local h = load()
local least = tonumber(ARGV[3])
if h then
  if is_newer(h.format) then return 'busy' end -- a newer release owns this key: leave it alone
  if h.state == 'L' and h.expires > now then return 'busy' end
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
