-- Removes visible messages from the end: the newest one, or the message with an id and all later ones. ARGV: version
-- token, ttl in ms or '', the id or '' (only the newest message), 1 if the message with the id stays or 0. Returns the
-- text of the message that was removed last, and the number of removed messages. A damaged text does not tell its id:
-- the entry of the id is then searched by the position.
local session = find()
if not session or session.base_seq == session.last_seq then return {'absent'} end
local first = session.last_seq
if ARGV[3] ~= '' then
  local stored = redis.call('HGET', KEY, 'i:' .. ARGV[3])
  local place = stored and tonumber(stored:match('^(%d+):'))
  if not place or place <= session.base_seq then return {'absent'} end
  first = place + tonumber(ARGV[4])
  if first > session.last_seq then return {'stored', header(session), '', 0} end
end

-- A turn begins with a user's message, unless that has results of tool calls alone.
local RESULTS = {['tool_result'] = true, ['tool-result'] = true, ['function_call_output'] = true}
local function starts_turn(message)
  if message.role ~= 'user' then return false end
  if type(message.content) ~= 'table' or #message.content == 0 then return true end
  for _, part in ipairs(message.content) do
    if not RESULTS[part.type or ''] and type(part.toolResult) ~= 'table' then return true end
  end
  return false
end

local function entry_of(seq)
  local fields = redis.call('HGETALL', KEY)
  for at = 1, #fields, 2 do
    if fields[at]:sub(1, 2) == 'i:' and fields[at + 1]:match('^(%d+):') == tostring(seq) then return fields[at] end
  end
  return 'i:'
end

local function take(seq)
  local text = redis.call('HGET', KEY, 'm:' .. seq)
  local readable, message = pcall(cjson.decode, (text or ''):sub(MARK + 1))
  local intact = text and readable and text:sub(1, MARK) == redis.sha1hex(text:sub(MARK + 1)):sub(1, MARK)
  redis.call('HDEL', KEY, 'm:' .. seq, intact and 'i:' .. message.id or entry_of(seq))
  if redis.call('HGET', KEY, 's:' .. session.systems) == tostring(seq) then
    redis.call('HDEL', KEY, 's:' .. session.systems)
    session.systems = session.systems - 1
  end
  if intact and starts_turn(message) then session.last_turn = session.last_turn - 1 end
  return text
end

local turns, text = session.last_turn, ''
for seq = session.last_seq, first, -1 do text = take(seq) end
if turns > 0 and session.last_turn == 0 and redis.call('HGET', KEY, 'title_made') == 'true' then session.title = '""' end
local gone = session.last_seq - first + 1
session.last_seq = first - 1
move(session, ARGV[1])
keep(session, ARGV[2])
return {'stored', header(session), text or '', gone}
