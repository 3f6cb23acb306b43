-- Returns a page of a list: members and scores in turn. ARGV: the place after which the page begins (score, then id),
-- the size, and 1 to read upwards (towards newer sessions) or 0 to read downwards.
local ID_LENGTH = 36
local score, id, size, upwards = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local offset, page = 0, {}
repeat
  local members
  if upwards then
    members = redis.call('ZRANGE', KEYS[1], ARGV[1], '+inf', 'BYSCORE', 'LIMIT', offset, size, 'WITHSCORES')
  else
    members = redis.call('ZRANGE', KEYS[1], ARGV[1], '-inf', 'BYSCORE', 'REV', 'LIMIT', offset, size, 'WITHSCORES')
  end
  for i = 1, #members, 2 do
    local other = members[i]:sub(1, ID_LENGTH)
    if tonumber(members[i + 1]) ~= score or (upwards and other > id) or (not upwards and other < id) then
      page[#page + 1], page[#page + 2] = members[i], members[i + 1]
    end
  end
  offset = offset + size
until #members == 0 or #page >= 2 * size
return page
