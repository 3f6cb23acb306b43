-- Takes the newest visible message off. ARGV: version token, ttl in ms or ''. Returns the message's text; where that is
-- damaged, its id is not known, and the entry that leads from an id to the position is looked for.
local session = find()
if not session or session.base_seq == session.last_seq then return {'absent'} end
local seq = session.last_seq
local text = redis.call('HGET', KEY, 'm:' .. seq)
local readable, message = pcall(cjson.decode, (text or ''):sub(MARK + 1))
local intact = text and readable and text:sub(1, MARK) == redis.sha1hex(text:sub(MARK + 1)):sub(1, MARK)

local entry
if intact then
  entry = 'i:' .. message.id
else
  local fields = redis.call('HGETALL', KEY)
  for at = 1, #fields, 2 do
    if fields[at]:sub(1, 2) == 'i:' and fields[at + 1]:match('^(%d+):') == tostring(seq) then entry = fields[at] end
  end
end
redis.call('HDEL', KEY, 'm:' .. seq, entry or 'i:')

-- A turn begins with a user's message, unless that has results of tool calls alone.
local RESULTS = {['tool_result'] = true, ['tool-result'] = true, ['function_call_output'] = true}
local function starts_turn()
  if message.role ~= 'user' then return false end
  if type(message.content) ~= 'table' or #message.content == 0 then return true end
  for _, part in ipairs(message.content) do
    if not RESULTS[part.type or ''] and type(part.toolResult) ~= 'table' then return true end
  end
  return false
end

if intact and starts_turn() then
  session.last_turn = session.last_turn - 1
  if session.last_turn == 0 and redis.call('HGET', KEY, 'title_made') == 'true' then session.title = '""' end
end
session.last_seq = seq - 1
move(session, ARGV[1])
keep(session, ARGV[2])
return {'stored', header(session), text or ''}
