-- ARGV: token, channel of the process
--
-- The common case, before the functions that the others need are made: the token alone has the lock and there are no
-- waiters. Returns the lease. The key keeps its time to live, because setting it again costs more than the days are
-- worth.
local text = redis.pcall('GET', KEYS[1])
if type(text) == 'string' then
  local fence, tokens, expires = string.match(text, '^held\t([^\t]+)\t[^\t]*\t([^\t]+)\t([^\t]+)')
  local is_live = tokens == ARGV[1] and #expires == #millis and expires > millis
  if is_live and redis.call('EXISTS', KEYS[2]) == 0 then
    local ended = 'ended\t' .. fence .. '\t' .. tokens
    -- A server without memory refuses to write, and must still let go.
    if redis.pcall('SET', KEYS[1], ended, 'KEEPTTL').err then redis.call('DEL', KEYS[1]) end
    return text
  end
end
