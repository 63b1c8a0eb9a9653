-- ARGV: slot, token, new slot, capacity
-- Returns done: record; taken: own, nights, earliest end; occupied, when the same holder has a hold on exactly the new
-- nights; gone; not_owner.
local slot, token, target, capacity = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local expired = take_expired()
local record, refusal = owned(slot, token)
if not record then
  -- The answer to an earlier call was lost: it is this one, repeated.
  local moved = owned(target, token)
  if moved then return answer(expired, 'done', record_text(moved)) end
  return answer(expired, refusal)
end
if slot == target then return answer(expired, 'done', record_text(record)) end
if redis.call('HEXISTS', KEYS[1], 'h' .. target) == 1 then
  return answer(expired, 'occupied')
end

local first, last = read_slot(slot)
local begins, ends = read_slot(target)
local change, added = {}, {}
for day = first, last - 1 do
  if day < begins or day >= ends then change[day] = -record.quantity end
end
for day = begins, ends - 1 do
  if day < first or day >= last then
    change[day] = record.quantity
    added[#added + 1] = day
  end
end
local fields, taken, missing = {}, {}, {}
for index, day in ipairs(added) do fields[index] = 'n' .. day end
local counts = in_chunks('HMGET', KEYS[1], fields)
for index, day in ipairs(added) do
  local lacking = (tonumber(counts[index]) or 0) + record.quantity - capacity
  if lacking > 0 then
    taken[#taken + 1] = day
    missing[day] = lacking
  end
end
if #taken > 0 then
  local own = own_in_the_way(taken, missing, slot)
  return answer(expired, 'taken', own, table.concat(taken, ','), frees_at(taken, slot) or '')
end

change_nights(change)
redis.call('HDEL', KEYS[1], 'h' .. slot)
redis.call('ZREM', KEYS[2], slot)
return answer(expired, 'done', write_record(target, record))
