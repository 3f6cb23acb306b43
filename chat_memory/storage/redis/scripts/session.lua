-- The shared functions, prepended to every script: how a session is stored in its hash, KEYS[1]. A conversation is one
-- key, so that expiry, eviction and deletion always affect it as a whole.
local KEY, FORMAT, CHUNK, MARK = KEYS[1], '2', 1000, 8
local NUMBERS = {'version', 'base_seq', 'last_seq', 'last_turn', 'updated_at'}

local function find()
  local kind = redis.call('TYPE', KEY).ok
  if kind == 'none' then return nil end
  if kind ~= 'hash' or redis.call('HGET', KEY, 'format') ~= FORMAT then
    error({err = 'FOREIGN the key holds a value of another program or version'})
  end
  local names = {'id', 'workspace_id', 'vtoken', 'prev_vtoken', 'user_key', 'active_at', unpack(NUMBERS)}
  local values, session = redis.call('HMGET', KEY, unpack(names)), {}
  for i, name in ipairs(names) do session[name] = values[i] end
  for _, name in ipairs(NUMBERS) do session[name] = tonumber(session[name]) end
  return session
end

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Numbers that may exceed 2^53 (tokens, and times that clients give) stay text, since Lua would round them.
local function create(id, workspace_id, user_key, vtoken)
  local session = {id = id, workspace_id = workspace_id, user_key = user_key, vtoken = vtoken, prev_vtoken = '',
                   version = 0, base_seq = 0, last_seq = 0, last_turn = 0, updated_at = now()}
  session.created_at, session.active_at = session.updated_at, session.updated_at
  return session
end

-- Writes a session's fields, and sets its ttl in milliseconds ('': no expiry). Every write goes through here.
local function keep(session, ttl)
  local fields = {'format', FORMAT}
  for name, value in pairs(session) do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  redis.call('HSET', KEY, unpack(fields))
  if ttl == '' then redis.call('PERSIST', KEY) else redis.call('PEXPIRE', KEY, ttl) end
end

-- Gives a session the next version and a new token.
local function move(session, vtoken)
  session.version, session.prev_vtoken, session.vtoken = session.version + 1, session.vtoken, vtoken
  session.updated_at = math.max(now(), session.updated_at)
end

local function header(session)
  return {session.id, session.workspace_id, session.version, session.vtoken, session.base_seq, session.last_seq,
          session.prev_vtoken, session.user_key, session.updated_at, session.active_at}
end

local function messages(first, last)
  local texts = {}
  for start = first, last, CHUNK do
    local fields = {}
    for seq = start, math.min(start + CHUNK - 1, last) do fields[#fields + 1] = 'm:' .. seq end
    for _, text in ipairs(redis.call('HMGET', KEY, unpack(fields))) do texts[#texts + 1] = text end
  end
  return texts
end

-- Counts the visible messages without damaged ones: a stored text begins with the first digits of its SHA-1.
local function count(session)
  local intact = 0
  for _, text in ipairs(messages(session.base_seq + 1, session.last_seq)) do
    if text and text:sub(1, MARK) == redis.sha1hex(text:sub(MARK + 1)):sub(1, MARK) then intact = intact + 1 end
  end
  return intact
end

local function record(session)
  local names = {'id', 'user_key', 'version', 'vtoken', 'base_seq', 'last_seq', 'last_turn', 'created_at',
                 'updated_at', 'active_at', 'title', 'tags', 'metadata', 'pinned', 'archived_at', 'expires_at',
                 'title_made'}
  return {count(session), redis.call('HMGET', KEY, unpack(names))}
end
