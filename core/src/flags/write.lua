-- Sets or removes one flag, raises the version, and tells everybody, in this order.
-- KEYS: the hash, the version, the set of tenants with overrides
-- ARGV: flag, value, "set" or "unset", tenant or "", channel, notice
local count
if ARGV[3] == 'set' then
  if ARGV[4] ~= '' then
    redis.call('SADD', KEYS[3], ARGV[4])
  end
  count = redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
else
  count = redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('INCR', KEYS[2])
redis.call('PUBLISH', ARGV[5], ARGV[6])
return count
