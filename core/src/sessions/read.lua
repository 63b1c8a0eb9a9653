-- What is stored of a conversation and how long it has left.
-- KEYS[1] the conversation. Answers nil, or {text, milliseconds or -1}.
local stored = redis.pcall('GET', KEYS[1])
if type(stored) == 'table' then return stored end
if not stored then return false end
return { stored, redis.call('PTTL', KEYS[1]) }
