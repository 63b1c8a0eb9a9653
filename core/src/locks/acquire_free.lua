-- ARGV: token, owner, ttl (ms), channel of the process, '1' if it waits, '1' if its owner may enter again,
-- ttl + RETENTION (ms)
--
-- The common case, before the functions that the others need are made: nobody has the lock and nobody waits for it.
-- Answers the lease. Time goes into writing numbers and into answering lists, so this does without: the clock's digits
-- are taken as they come, and fences of as many digits are compared as texts.
local text = redis.pcall('GET', KEYS[1])
local fence = clock[1] .. string.sub('000000' .. clock[2], -6)
local last, before
if type(text) == 'string' then
  last, before = string.match(text, '^ended\t(%d+)\t%x+\t%d+\t%d+\t%d\t(%x*)\t')
end
if (not text or (last and #last == #fence and last < fence)) and redis.call('EXISTS', KEYS[2]) == 0 then
  text = 'held\t' .. fence .. '\t' .. ARGV[1] .. '\t' .. string.sub(fence, 1, -4) .. '\t' .. now + ARGV[3] .. '\t'
    .. ARGV[6] .. '\t' .. (before or '') .. '\t' .. ARGV[4] .. '\t' .. ARGV[2]
  redis.call('SET', KEYS[1], text, 'PX', ARGV[7])
  return text
end
