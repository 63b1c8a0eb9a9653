-- ARGV: slot, id, token, user, quantity, capacity, ttl (ms), most live holds
-- Answers {'new' | 'same', record, nights, end, now, expired}, {'taken', '', nights, earliest end, …} or {'full', …}.
--
-- The common case, before the functions that the others need are made: no hold has ended by itself, the holder has
-- none on these nights, and all of them are free.
do
  local slot, quantity, capacity = ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6])
  local first, last = string.match(slot, '^(-?%d+):(-?%d+):')
  local fields = { 'h' .. slot, 'fence', 'live' }
  for day = first, last - 1 do fields[#fields + 1] = 'n' .. day end

  local next_end = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
  local known = redis.call('HMGET', KEYS[1], unpack(fields))
  local live = redis.call('ZCARD', KEYS[2])
  local is_free = not known[1] and live < tonumber(ARGV[8]) and live == (tonumber(known[3]) or 0)
    and (not next_end or tonumber(next_end) > now)
  local changes = {}
  for index = 4, #fields do
    local units = (tonumber(known[index]) or 0) + quantity
    is_free = is_free and units <= capacity
    changes[#changes + 1] = fields[index]
    changes[#changes + 1] = units
  end
  if is_free then
    local fence = whole(math.max((tonumber(known[2]) or 0) + 1, now_us))
    local expires = now + tonumber(ARGV[7])
    local record = ARGV[2] .. '\t' .. ARGV[3] .. '\t' .. quantity .. '\t' .. fence .. '\t' .. now .. '\t' .. expires
      .. '\t0\t' .. ARGV[4]
    redis.call('HSET', KEYS[1], fields[1], record, 'fence', fence, 'live', live + 1, unpack(changes))
    redis.call('ZADD', KEYS[2], expires, slot)
    redis.call('PEXPIRE', KEYS[1], RETENTION)
    redis.call('PEXPIRE', KEYS[2], RETENTION)
    return { 'new', record, '', '', tostring(now), {} }
  end
end
