-- A page of a list, last changed first. ARGV: last change and id of the session before it, or '', and the size. Members
-- and their last changes in turn.
local id_length, size, offset, page = 36, tonumber(ARGV[3]), 0, {}
repeat
  local top = ARGV[1] == '' and '+inf' or ARGV[1]
  local found = redis.call('ZRANGE', KEYS[1], top, '-inf', 'BYSCORE', 'REV', 'LIMIT', offset, size, 'WITHSCORES')
  for i = 1, #found, 2 do
    if tonumber(found[i + 1]) ~= tonumber(ARGV[1]) or found[i]:sub(1, id_length) < ARGV[2] then
      page[#page + 1], page[#page + 2] = found[i], found[i + 1]
    end
  end
  offset = offset + size
until #found == 0 or #page >= 2 * size
return page
