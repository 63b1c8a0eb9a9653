-- Shares what is known of a session, unless it is known to have ended.
-- KEYS[1] the session. ARGV: the state, its life in milliseconds, the word for an ended session.
if redis.call('GET', KEYS[1]) == ARGV[3] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
