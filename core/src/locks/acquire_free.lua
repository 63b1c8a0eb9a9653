-- ARGV: token, owner, ttl (ms), channel of the process, '1' if it waits, '1' if its owner may enter again
--
-- The common case, before the functions that the others need are made: nobody has the lock and nobody waits for it.
local text = redis.pcall('GET', KEYS[1])
local last, before
if type(text) == 'string' then
  last, before = string.match(text, '^ended\t(%d+)\t[^\t]*\t[^\t]*\t[^\t]*\t[^\t]*\t(%x*)\t')
end
if (not text or last) and redis.call('EXISTS', KEYS[2]) == 0 then
  text = 'held\t' .. whole(math.max((tonumber(last) or 0) + 1, now_us)) .. '\t' .. ARGV[1] .. '\t' .. now .. '\t'
    .. now + ARGV[3] .. '\t' .. ARGV[6] .. '\t' .. (before or '') .. '\t' .. ARGV[4] .. '\t' .. ARGV[2]
  redis.call('SET', KEYS[1], text, 'PX', ARGV[3] + RETENTION)
  return { 'granted', text, '' }
end
