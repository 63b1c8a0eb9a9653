-- ARGV: token, channel of the process
--
-- The common case, before the functions that the others need are made: the token alone has the lock and nobody waits.
local text = redis.pcall('GET', KEYS[1])
if type(text) == 'string' then
  local fence, tokens, acquired, expires, rest = string.match(text, '^held\t(%d+)\t(%x+)\t(%d+)\t(%d+)\t(.*)$')
  if tokens == ARGV[1] and tonumber(expires) > now and redis.call('EXISTS', KEYS[2]) == 0 then
    local again, channel_and_owner = string.match(rest, '^(%d)\t%x*(\t.*)$')
    local ended = 'ended\t' .. fence .. '\t' .. tokens .. '\t' .. acquired .. '\t' .. now .. '\t' .. again .. '\t'
      .. tokens .. channel_and_owner
    -- A server without memory refuses to write, and must still let go.
    if redis.pcall('SET', KEYS[1], ended, 'PX', RETENTION).err then redis.call('DEL', KEYS[1]) end
    return { 'released', text, '', '' }
  end
end
