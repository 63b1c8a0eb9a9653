-- ARGV: slot, id, token, user, quantity, capacity, ttl (ms), most live holds
-- Returns new, same: record; taken: own, nights, earliest end; full.
-- own: slot and record, parted by a tab, of the holder's own hold if no other holder is in the way.
--
-- The common case, before the functions that the others need are made: no hold has ended by itself, the holder has none
-- on these nights, and all of them are free. Returns the outcome, now (ms) and the record, parted by tabs. The table
-- keeps its time to live: 'first_end' is still to come, so a step that set both was less than a hold's life ago.
do
  local slot, quantity, capacity = ARGV[1], ARGV[5], tonumber(ARGV[6])
  local first, last = string.match(slot, '^(-?%d+):(-?%d+):')
  local fields = { 'first_end', 'h' .. slot, 'fence', 'live' }
  for day = first, last - 1 do fields[#fields + 1] = 'n' .. day end

  local known = redis.call('HMGET', KEYS[1], unpack(fields))
  local ends, live = tonumber(known[1] or 0), tonumber(known[4] or 0)
  local is_free = ends > now and not known[2] and live < tonumber(ARGV[8])
  local changes = {}
  for index = 5, #fields do
    local units = (known[index] or 0) + quantity
    is_free = is_free and units <= capacity
    changes[#changes + 1] = fields[index]
    changes[#changes + 1] = units
  end
  if is_free then
    local fence, expires = micros, now + ARGV[7]
    -- Numbers of as many digits compare as texts do.
    if known[3] and (#known[3] ~= #fence or known[3] >= fence) then fence = whole(math.max(known[3] + 1, now_us)) end
    local record = ARGV[2] .. '\t' .. ARGV[3] .. '\t' .. quantity .. '\t' .. fence .. '\t' .. millis .. '\t'
      .. expires .. '\t0\t' .. ARGV[4]
    if expires < ends then
      changes[#changes + 1] = 'first_end'
      changes[#changes + 1] = expires
    end
    redis.call('HSET', KEYS[1], fields[2], record, 'fence', fence, 'live', live + 1, unpack(changes))
    redis.call('ZADD', KEYS[2], expires, slot)
    if live == 0 then redis.call('PEXPIRE', KEYS[2], RETENTION) end
    return 'new\t' .. millis .. '\t' .. record
  end
end
