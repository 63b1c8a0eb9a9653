-- Every case; ARGV and the answer stand in hold_free.lua.
local slot, id, token, user, quantity, capacity, ttl, most =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local first, last = read_slot(slot)
local fields = { 'h' .. slot, 'fence', 'live' }
for day = first, last - 1 do fields[#fields + 1] = 'n' .. day end

local expired = take_expired()
local known = redis.call('HMGET', KEYS[1], unpack(fields))
local live = tonumber(known[3] or 0)

local record = known[1] and read_record(known[1])
local own = record and record.quantity or 0
if own == quantity then
  return answer(expired, 'same', known[1])
end
if not record and live >= most then
  return answer(expired, 'full')
end

local need = quantity - own
local changes, taken, missing = {}, {}, {}
for index = 4, #fields do
  local units = (tonumber(known[index]) or 0) + need
  if need > 0 and units > capacity then
    taken[#taken + 1] = first + index - 4
    missing[first + index - 4] = units - capacity
  end
  changes[#changes + 1] = fields[index]
  changes[#changes + 1] = units
end

if #taken > 0 then
  local frees = frees_at(taken, slot)
  local own = own_in_the_way(taken, missing, slot)
  return answer(expired, 'taken', own, table.concat(taken, ','), frees or '')
end

local outcome = 'same'
if record then
  record.quantity = quantity
else
  outcome = 'new'
  record = {
    id = id, token = token, quantity = quantity, fence = whole(math.max((tonumber(known[2]) or 0) + 1, now_us)),
    acquired = now, expires = now + ttl, extensions = 0, user = user,
  }
  changes[#changes + 1] = 'fence'
  changes[#changes + 1] = record.fence
  changes[#changes + 1] = 'live'
  changes[#changes + 1] = live + 1
end
return answer(expired, outcome, write_record(slot, record, changes))
