-- Reads a span. ARGV: after, before, first, last, each a number or ''; 'system', 'both' or ''; the ttl in ms to
-- restart, or ''. Returns the header, the time at which the ttl was restarted or 0, the first and the last position,
-- and the lines of the messages between them ('' with 'system'). With 'system', the positions and lines of the system
-- messages of the span follow; with 'both', also those of system messages that only `last` excludes.
local session = find()
if not session then return {} end
local low = math.max(session.base_seq, tonumber(ARGV[1]) or 0) + 1
local high = math.min(session.last_seq, (tonumber(ARGV[2]) or math.huge) - 1)
if ARGV[3] ~= '' then high = math.min(high, low + tonumber(ARGV[3]) - 1) end
local lowest = low
if ARGV[4] ~= '' then low = math.max(low, high - tonumber(ARGV[4]) + 1) end
local since = 0
if ARGV[6] ~= '' then
  since = now()
  live(session, ARGV[6], since)
end
local answer = {header(session), since, low, high, ARGV[5] ~= 'system' and lines(numbered('m:', low, high)) or ''}
if ARGV[5] == '' then return answer end
if ARGV[5] == 'system' then lowest = low end
local places, texts = {}, {}
for _, seq in ipairs(numbered('s:', 1, session.systems)) do
  if lowest <= tonumber(seq) and tonumber(seq) <= high then
    places[#places + 1] = seq
    texts[#texts + 1] = redis.call('HGET', KEY, 'm:' .. seq)
  end
end
answer[6], answer[7] = table.concat(places, ' '), lines(texts)
return answer
