-- Returns swept: end of the next hold (ms) or ''.
local expired = take_expired()
local next_end = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
return answer(expired, 'swept', next_end and whole(next_end) or '')
