-- The server's time in milliseconds, and what is known of a session.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return {now, redis.call('GET', KEYS[1]) or ''}
