-- Renews the life of a conversation, and of nothing else that stands under its key.
-- KEYS[1] the conversation; ARGV[1] its life in milliseconds.
-- Answers 1 when it was renewed, 0 when there is none, -1 when something else is stored there.
local first = redis.pcall('GETRANGE', KEYS[1], 0, 15)
if type(first) == 'table' then return first end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local last = redis.call('GETRANGE', KEYS[1], -16, -1)
if not string.find(first, '^%s*{') or not string.find(last, '}%s*$') then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
