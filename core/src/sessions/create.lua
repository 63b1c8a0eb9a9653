-- Begins a conversation unless there is one.
-- KEYS[1] the conversation; ARGV[1] its text, ARGV[2] its life in milliseconds.
-- Returns {text, milliseconds or -1, 1 if it is new} of what is stored then.
local stored = redis.pcall('GET', KEYS[1])
if type(stored) == 'table' then return stored end
if stored then return { stored, redis.call('PTTL', KEYS[1]), 0 } end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return { ARGV[1], tonumber(ARGV[2]), 1 }
