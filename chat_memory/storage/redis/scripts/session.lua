-- The shared functions, prepended to every script: how a session is stored in its hash, KEYS[1]. A conversation is one
-- key, so that expiry, eviction and deletion always affect it as a whole.
local KEY, FORMAT, CHUNK, MARK = KEYS[1], '3', 1000, 8
local NUMBERS = {'version', 'base_seq', 'last_seq', 'last_turn', 'updated_at', 'systems'}

-- The last four arguments of every script on a conversation come from RedisStore.run: who the caller is ('u' or 't' and
-- the user's key; '-': an anonymous visitor; '': a caller who reaches every session), '1' if the owner of a new session
-- is a user object, the session's key, and the id of the session that the address is pinned to, or ''. A session of
-- somebody else is refused before anything is written, and so is a key that holds a value of another program or
-- version; that error has the number of the key.
local CALLER, LINKED, NAME, PINNED = '', '', '', ''

local function check_lists(first)
  for i = first, #KEYS do
    local kind = redis.call('TYPE', KEYS[i]).ok
    if kind ~= 'none' and kind ~= 'zset' then error({err = 'FOREIGN ' .. i}) end
  end
end

local function find()
  PINNED, NAME = table.remove(ARGV), table.remove(ARGV)
  LINKED, CALLER = table.remove(ARGV), table.remove(ARGV)
  check_lists(2)
  local kind = redis.call('TYPE', KEY).ok
  if kind == 'none' then return nil end
  if kind ~= 'hash' or redis.call('HGET', KEY, 'format') ~= FORMAT then
    error({err = 'FOREIGN 1'})
  end
  local names = {'id', 'workspace_id', 'vtoken', 'prev_vtoken', 'user_key', 'linked', 'active_at', unpack(NUMBERS)}
  local values, session = redis.call('HMGET', KEY, unpack(names)), {}
  for i, name in ipairs(names) do session[name] = values[i] end
  if PINNED ~= '' and session.id ~= PINNED then return nil end
  for _, name in ipairs(NUMBERS) do session[name] = tonumber(session[name]) end
  session.linked = session.linked or ''
  local owner = (session.linked == '1' and 'u' or 't') .. session.user_key
  if CALLER ~= '' and session.user_key ~= '' and CALLER ~= owner then
    error({err = 'NOTOWNER the session belongs to somebody else'})
  end
  return session
end

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Numbers that may exceed 2^53 (tokens, and times that clients give) stay text, since Lua would round them.
local function create(id, workspace_id, user_key, vtoken)
  local session = {id = id, workspace_id = workspace_id, user_key = user_key, linked = LINKED, vtoken = vtoken, prev_vtoken = '',
                   version = 0, base_seq = 0, last_seq = 0, last_turn = 0, systems = 0, updated_at = now()}
  session.created_at, session.active_at = session.updated_at, session.updated_at
  return session
end

-- Removes some expired members from a list. If all members expire, the list expires with the last of them.
local function expire(list, expiries)
  for _, expired in ipairs(redis.call('ZRANGE', expiries, '-inf', now(), 'BYSCORE', 'LIMIT', 0, 100)) do
    redis.call('ZREM', list, expired)
    redis.call('ZREM', expiries, expired)
  end
  local last = redis.call('ZRANGE', expiries, -1, -1, 'WITHSCORES')[2]
  if last and redis.call('ZCARD', list) == redis.call('ZCARD', expiries) then
    local at_ms = math.ceil(tonumber(last) / 1000)
    redis.call('PEXPIREAT', list, at_ms)
    redis.call('PEXPIREAT', expiries, at_ms)
  else
    redis.call('PERSIST', list)
    redis.call('PERSIST', expiries)
  end
end

-- Puts a member into lists. From KEYS[first] on, each list has two keys: the list itself (scores are active_at), and
-- its expiry times, which exist only while some member expires. The expiry time is '' for a member that never expires;
-- both times are in microseconds. Each call also removes some expired members.
local function enlist(first, member, active_at, expires)
  for i = first, #KEYS, 2 do
    local list, expiries = KEYS[i], KEYS[i + 1]
    redis.call('ZADD', list, active_at, member)
    if expires ~= '' then
      redis.call('ZADD', expiries, expires, member)
      expire(list, expiries)
    elseif redis.call('EXISTS', expiries) == 1 then
      redis.call('ZREM', expiries, member)
      redis.call('PERSIST', list)
      expire(list, expiries)
    end
  end
end

-- Sets a session's ttl in milliseconds ('': no expiry), and its place in the lists that the caller has named.
local function live(session, ttl, since)
  if ttl == '' then redis.call('PERSIST', KEY) else redis.call('PEXPIRE', KEY, ttl) end
  enlist(2, session.id .. NAME, session.active_at, ttl == '' and '' or since + ttl * 1000)
end

-- Writes a session's fields and restarts its ttl. Every write goes through here.
local function keep(session, ttl)
  local fields = {'format', FORMAT}
  for name, value in pairs(session) do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  redis.call('HSET', KEY, unpack(fields))
  live(session, ttl, session.updated_at)
end

-- Gives a session the next version and a new token.
local function move(session, vtoken)
  session.version, session.prev_vtoken, session.vtoken = session.version + 1, session.vtoken, vtoken
  session.updated_at = math.max(now(), session.updated_at)
end

-- A number without exponent; a text as it is.
local function whole(number)
  return type(number) == 'number' and string.format('%.0f', number) or number
end

-- The state of a session as one text, which is read faster than a list; the user's key is last, since it may have spaces.
local function header(session)
  return table.concat({session.id, session.workspace_id, session.version, session.vtoken, session.base_seq,
                       session.last_seq, session.prev_vtoken == '' and '-' or session.prev_vtoken,
                       whole(session.updated_at), whole(session.active_at), session.user_key}, ' ')
end

-- The values of numbered fields: 'm:' of messages by position, 's:' of the positions of system messages.
local function numbered(prefix, first, last)
  local values = {}
  for start = first, last, CHUNK do
    local fields = {}
    for number = start, math.min(start + CHUNK - 1, last) do fields[#fields + 1] = prefix .. number end
    for _, value in ipairs(redis.call('HMGET', KEY, unpack(fields))) do values[#values + 1] = value end
  end
  return values
end

-- Stored texts as one text, each on a line of its own: what is missing or damaged is an empty line.
local function lines(texts)
  for i, text in ipairs(texts) do
    if not text or text:find('\n', 1, true) then texts[i] = '' end
  end
  return table.concat(texts, '\n')
end

-- Counts the visible messages without damaged ones: a stored text begins with the first digits of its SHA-1.
local function count(session)
  local intact = 0
  for _, text in ipairs(numbered('m:', session.base_seq + 1, session.last_seq)) do
    if text and text:sub(1, MARK) == redis.sha1hex(text:sub(MARK + 1)):sub(1, MARK) then intact = intact + 1 end
  end
  return intact
end

local function record(session)
  local names = {'id', 'user_key', 'version', 'vtoken', 'base_seq', 'last_seq', 'last_turn', 'created_at',
                 'updated_at', 'active_at', 'title', 'tags', 'metadata', 'pinned', 'archived_at', 'expires_at',
                 'title_made', 'linked'}
  return {count(session), redis.call('HMGET', KEY, unpack(names))}
end
