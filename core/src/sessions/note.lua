-- Notes in a tenant's index when a conversation ends, by the server's own clock.
-- KEYS[1] the index, a sorted set of users by the millisecond at which their conversations end; ARGV[1] the life of
-- the conversation in milliseconds, ARGV[2] the user, ARGV[3] 'XX' to change only what is there, or ''.
-- Returns how many conversations had ended since the last look; they are removed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ended = redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local expires = string.format('%.0f', now + ARGV[1])
if ARGV[3] == 'XX' then
  redis.call('ZADD', KEYS[1], 'XX', expires, ARGV[2])
else
  redis.call('ZADD', KEYS[1], expires, ARGV[2])
end
-- The index of a tenant that has gone quiet goes, too.
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return ended
