-- Returns the session without its messages, or nothing.
local session = find()
return session and record(session) or {}
