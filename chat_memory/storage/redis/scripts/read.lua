-- Reads a span. ARGV: after, before, first, last, each a number or ''. Returns the header, the first position, and the
-- stored messages from there on.
local session = find()
if not session then return {} end
local low = math.max(session.base_seq, tonumber(ARGV[1]) or 0) + 1
local high = math.min(session.last_seq, (tonumber(ARGV[2]) or math.huge) - 1)
if ARGV[3] ~= '' then high = math.min(high, low + tonumber(ARGV[3]) - 1) end
if ARGV[4] ~= '' then low = math.max(low, high - tonumber(ARGV[4]) + 1) end
return {header(session), low, messages(low, high)}
