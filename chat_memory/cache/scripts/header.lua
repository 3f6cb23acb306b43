-- Every script begins with this part. A key is a LIST: the newest messages, oldest first, and last the header, so that
-- one plain LRANGE from the end reads both.
-- Header: magic;state;format;version;token;session;ident;extent;least;lease;expires;weight
--   state V: valid, the entries are the newest messages at (version, token); L: leased, somebody is reading them
--   ident: what only clients read
--   extent: '1': the entries are all messages there are; '0': the newest; 'cut': the newest that are light enough
--   least: no fill may bring a smaller version; lease, expires: who may fill, and until when on this server's clock
--   weight: bytes of the entries together
-- A newer layout may have more fields behind these.
local MAGIC = 'cm1'
local key = KEYS[1]

local function milliseconds()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function whole_number(n) return string.format('%.0f', n) end

local function load()
  local text = redis.call('LINDEX', key, -1)
  if not text then return nil end
  local part = {}
  for field in string.gmatch(text .. ';', '([^;]*);') do part[#part + 1] = field end
  if part[1] ~= MAGIC or #part < 12 then return nil end
  local version, least, expires, weight = tonumber(part[4]), tonumber(part[9]), tonumber(part[11]), tonumber(part[12])
  if not (version and least and expires and weight and tonumber(string.sub(part[3], 1, 2))) then return nil end
  return {
    state = part[2], format = part[3], version = version, token = part[5], session = part[6], ident = part[7],
    extent = part[8], least = least, lease = part[10], expires = expires, weight = weight,
  }
end

local function text_of(h)
  return table.concat({
    MAGIC, h.state, h.format, whole_number(h.version), h.token, h.session, h.ident, h.extent, whole_number(h.least),
    h.lease, whole_number(h.expires), whole_number(h.weight),
  }, ';')
end

local function is_newer(format) -- the layout's number comes first in a format
  return tonumber(string.sub(format, 1, 2)) > LAYOUT
end

local function weight_from(first)
  local weight = 0
  for at = first, #ARGV do weight = weight + #ARGV[at] end
  return weight
end

local function push_from(first)
  for at = first, #ARGV, 1000 do
    redis.call('RPUSH', key, unpack(ARGV, at, math.min(at + 999, #ARGV)))
  end
end
