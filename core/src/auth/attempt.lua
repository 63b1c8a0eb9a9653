-- Attempts to sign in to one account (or from one known device).
-- KEYS[1] the account. ARGV: what ("attempt", "undo", "succeeded"), free attempts, longest wait (ms), memory (ms),
-- attempts in a row after which each waits for a day, that day (ms).
-- Answers how many milliseconds to wait; 0 means go on. The clock is the server's, so all processes agree.
local what, free, longest, memory = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local most, day = tonumber(ARGV[5]), tonumber(ARGV[6])
if what == 'succeeded' then
    redis.call('DEL', KEYS[1])
    return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'count', 'until', 'row')
local count, wait_until, row = tonumber(state[1]) or 0, tonumber(state[2]) or 0, tonumber(state[3]) or 0
if what == 'undo' then
    if row <= 1 then
        redis.call('DEL', KEYS[1])
    else
        redis.call('HSET', KEYS[1], 'count', math.max(count - 1, 0), 'until', 0, 'row', row - 1)
    end
    return 0
end
if wait_until > now then
    return wait_until - now
end
if wait_until + memory < now and wait_until > 0 then
    count = 0
end
count, row = count + 1, row + 1
local wait = 0
if row >= most then
    wait = day
elseif count >= free then
    wait = math.min(1000 * 2 ^ math.min(count - free, 30), longest)
end
redis.call('HSET', KEYS[1], 'count', count, 'until', string.format('%.0f', now + wait), 'row', row)
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', day + wait))
return 0
