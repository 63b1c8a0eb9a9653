-- The server's time in milliseconds, what is known of a session, and for how many milliseconds it may be believed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('GET', KEYS[1])
if not state then
    return {now, '', 0}
end
return {now, state, redis.call('PTTL', KEYS[1])}
