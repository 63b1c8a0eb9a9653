-- Attempts to sign in from one address: a steady rate with a burst (GCRA).
-- KEYS[1] the address. ARGV: what ("attempt" or "undo"), interval (ms), burst.
-- Answers how many milliseconds to wait; 0 means go on.
local what, interval, burst = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stored = tonumber(redis.call('GET', KEYS[1])) or 0
if what == 'undo' then
    stored = stored - interval
    if stored > now then
        redis.call('SET', KEYS[1], string.format('%.0f', stored), 'PX', string.format('%.0f', stored - now))
    else
        redis.call('DEL', KEYS[1])
    end
    return 0
end
local next = math.max(stored, now) + interval
if next - now > interval * burst then
    return next - now - interval * burst
end
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', string.format('%.0f', next - now))
return 0
