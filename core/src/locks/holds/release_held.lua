-- ARGV: slot, token. Answers released: record; gone; not_owner.
--
-- The common case, before the functions that the others need are made: no hold has ended by itself, and the token has
-- this one. Returns the outcome, now (ms) and the record, parted by tabs.
do
  local slot, token = ARGV[1], ARGV[2]
  local first, last = string.match(slot, '^(-?%d+):(-?%d+):')
  local fields = { 'first_end', 'h' .. slot, 'live' }
  for day = first, last - 1 do fields[#fields + 1] = 'n' .. day end

  local known = redis.call('HMGET', KEYS[1], unpack(fields))
  local owner, quantity = string.match(known[2] or '', '^%x+\t(%x+)\t(%d+)\t')
  if owner == token and tonumber(known[1] or 0) > now then
    local gone, kept = { fields[2] }, { 'live', (known[3] or 1) - 1 }
    for index = 4, #fields do
      local units = (known[index] or 0) - quantity
      if units > 0 then
        kept[#kept + 1] = fields[index]
        kept[#kept + 1] = units
      else
        gone[#gone + 1] = fields[index]
      end
    end
    redis.call('HSET', KEYS[1], unpack(kept))
    redis.call('HDEL', KEYS[1], unpack(gone))
    redis.call('ZREM', KEYS[2], slot)
    return 'released\t' .. millis .. '\t' .. known[2]
  end
end
