-- Shares what is known of a session, unless it is known to have ended, or the news is old by now.
-- KEYS[1] the session. ARGV: the state, until when it may be believed (ms of the server's clock), the word for an
-- ended session.
if redis.call('GET', KEYS[1]) == ARGV[3] then
    return 0
end
local time = redis.call('TIME')
local left = tonumber(ARGV[2]) - (time[1] * 1000 + math.ceil(time[2] / 1000))
if left <= 0 then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', left))
return 1
