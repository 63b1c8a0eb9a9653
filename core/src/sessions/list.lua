-- The live conversations of a tenant, the first to end first. Changes nothing.
-- KEYS[1] the index. Returns {user, milliseconds left, user, milliseconds left, …}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf', 'WITHSCORES')
for at = 2, #found, 2 do
  found[at] = string.format('%.0f', found[at] - now)
end
return found
