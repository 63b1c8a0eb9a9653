-- ARGV: token, channel of the process
--
-- The common case, before the functions that the others need are made: the token alone has the lock and nobody waits.
-- Answers the lease. The key keeps its time to live, because setting it again costs more than the days are worth.
local text = redis.pcall('GET', KEYS[1])
if type(text) == 'string' then
  local fence, tokens, acquired, expires, again, channel_and_owner =
    string.match(text, '^held\t(%d+)\t(%x+)\t(%d+)\t(%d+)\t(%d)\t%x*(\t.*)$')
  if tokens == ARGV[1] and tonumber(expires) > now and redis.call('EXISTS', KEYS[2]) == 0 then
    local ended = 'ended\t' .. fence .. '\t' .. tokens .. '\t' .. acquired .. '\t' .. clock[1]
      .. string.sub('000000' .. clock[2], -6, -4) .. '\t' .. again .. '\t' .. tokens .. channel_and_owner
    -- A server without memory refuses to write, and must still let go.
    if redis.pcall('SET', KEYS[1], ended, 'KEEPTTL').err then redis.call('DEL', KEYS[1]) end
    return text
  end
end
