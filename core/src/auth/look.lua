-- What is known of a session, and for how many milliseconds it may be believed.
local state = redis.call('GET', KEYS[1])
if not state then
    return false
end
return {state, redis.call('PTTL', KEYS[1])}
