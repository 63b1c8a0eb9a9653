-- Attempts to sign in to one account (or from one known device).
-- KEYS[1] the account. ARGV: what ("attempt", "undo", "succeeded"), free attempts, longest wait (ms), memory (ms).
-- Answers how many milliseconds to wait; 0 means go on. The clock is the server's, so all processes agree.
local what, free, longest, memory = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if what == 'succeeded' then
    redis.call('DEL', KEYS[1])
    return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'count', 'until')
local count, wait_until = tonumber(state[1]) or 0, tonumber(state[2]) or 0
if what == 'undo' then
    if count <= 1 then
        redis.call('DEL', KEYS[1])
    else
        redis.call('HSET', KEYS[1], 'count', count - 1, 'until', 0)
    end
    return 0
end
if wait_until > now then
    return wait_until - now
end
count = count + 1
local wait = 0
if count >= free then
    wait = math.min(1000 * 2 ^ math.min(count - free, 30), longest)
end
redis.call('HSET', KEYS[1], 'count', count, 'until', string.format('%.0f', now + wait))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', memory + wait))
return 0
