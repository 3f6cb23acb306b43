-- The common beginning of every script. A key is a LIST: the newest messages, oldest first, and the header as the last
-- element, so that one LRANGE from the end reads both.
-- Header: magic;state;format;version;token;session;ident;extent;least;lease;expires;weight
--   state: 'V': valid, the messages are the newest at (version, token); 'L': leased, a reader is about to fill
--   ident: read by clients only, not by scripts
--   extent: '1': all messages of the session; '0': the newest; 'cut': as many of the newest as fit into HEAVIEST
--   least: the smallest version that a fill may have
--   lease, expires: the token of the reader that may fill, and until when, in milliseconds on this server's clock
--   weight: total bytes of the messages
-- A newer layout may have more fields after these.
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

local function is_newer(format) -- a format begins with the number of its layout
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
