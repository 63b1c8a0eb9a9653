-- Sets or removes one flag, raises the version, logs the write, and tells everybody. A write that is in the log already
-- was done by a call whose answer got lost: it is answered again, and nothing is done.
-- KEYS: the hash, the version, the set of tenants with overrides, the log
-- ARGV: flag, value, "set" or "unset", tenant or "", channel, notice, the id of the write, how long the log gets
for _, entry in ipairs(redis.call('LRANGE', KEYS[4], 0, -1)) do
  local id, count, version = string.match(entry, '^(%S+) (%d+) (%d+) ')
  if id == ARGV[7] then
    return {tonumber(count), tonumber(version)}
  end
end
local count
if ARGV[3] == 'set' then
  if ARGV[4] ~= '' then
    redis.call('SADD', KEYS[3], ARGV[4])
  end
  count = 1 - redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
else
  count = redis.call('HDEL', KEYS[1], ARGV[1])
end
local version = redis.call('INCR', KEYS[2])
redis.call('LPUSH', KEYS[4], ARGV[7] .. ' ' .. count .. ' ' .. version .. ' ' .. ARGV[6])
redis.call('LTRIM', KEYS[4], 0, ARGV[8] - 1)
redis.call('PUBLISH', ARGV[5], ARGV[6])
return {count, version}
