-- ARGV: token, owner, ttl (ms), channel of the process, '1' if it waits, '1' if its owner may enter again,
-- ttl + RETENTION (ms)
--
-- The common case, before the functions that the others need are made: the lock is free and has no waiters. An `ended`
-- lease needs no look at the queue: who wrote it found no waiter. tests/conformance/fast_paths.rs plays every free case
-- here and through acquire.lua. Returns the lease. Time goes into every byte of every new text, into patterns, into
-- writing numbers and into answering lists, so this does with little of them: the clock's digits are taken as they
-- come, and fences of as many digits are compared as texts.
local text = redis.pcall('GET', KEYS[1])
local before, is_free
if not text then
  before, is_free = '', redis.call('EXISTS', KEYS[2]) == 0
elseif type(text) == 'string' then
  local last
  last, before = string.match(text, '^ended\t([^\t]+)\t(.*)$')
  is_free = last and #last == #micros and last < micros
end
if is_free then
  text = 'held\t' .. micros .. '\t' .. before .. '\t' .. ARGV[1] .. '\t'
    .. string.format('%d', millis + ARGV[3]) .. '\t' .. millis .. '\t' .. ARGV[6] .. '\t' .. ARGV[4] .. '\t' .. ARGV[2]
  redis.call('SET', KEYS[1], text, 'PX', ARGV[7])
  return text
end
