-- Notes in a tenant's index which locks are held, and until when. The index is a good guess: a listing asks the
-- locks themselves.
-- KEYS[1] the index, a sorted set of names by the end of their lock (ms); ARGV name, remaining (ms) of each in turn.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
for place = 1, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], 'GT', string.format('%.0f', now + ARGV[place + 1]), ARGV[place])
end
-- No lock lives longer than a day without being noted again.
redis.call('PEXPIRE', KEYS[1], 90000000)
return #ARGV / 2
