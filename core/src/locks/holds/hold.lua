-- ARGV: slot, id, token, user, quantity, capacity, ttl (ms), most live holds
-- Answers {'new' | 'same', record, nights, end, now, expired}, {'taken', '', nights, earliest end, …} or {'full', …}.
local slot, id, token, user, quantity, capacity, ttl, most =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local expired = take_expired()
local first, last = read_slot(slot)
local fields = { 'h' .. slot, 'fence' }
for day = first, last - 1 do fields[#fields + 1] = 'n' .. whole(day) end
local known = redis.call('HMGET', KEYS[1], unpack(fields))

local record = known[1] and read_record(known[1])
local own = record and record.quantity or 0
if own == quantity then
  return { 'same', known[1], '', '', whole(now), expired }
end
if not record and redis.call('ZCARD', KEYS[2]) >= most then
  return { 'full', '', '', '', whole(now), expired }
end

local need = quantity - own
local counts, taken = {}, {}
for day = first, last - 1 do
  local field = 'n' .. whole(day)
  local units = (tonumber(known[day - first + 3]) or 0) + need
  if need > 0 and units > capacity then taken[#taken + 1] = whole(day) end
  counts[#counts + 1] = field
  counts[#counts + 1] = whole(units)
end

if #taken > 0 then
  -- Who ends first on one of these nights? Only a refusal looks at other holds, and only until it finds one.
  local is_taken = {}
  for _, day in ipairs(taken) do is_taken[tonumber(day)] = true end
  local from, frees = 0, ''
  while frees == '' do
    local page = redis.call('ZRANGE', KEYS[2], from, from + 255, 'WITHSCORES')
    if #page == 0 then break end
    for index = 1, #page, 2 do
      local begins, ends = read_slot(page[index])
      if page[index] ~= slot and begins < last and first < ends then
        for day = math.max(begins, first), math.min(ends, last) - 1 do
          if is_taken[day] then frees = whole(page[index + 1]) break end
        end
      end
      if frees ~= '' then break end
    end
    from = from + 256
  end
  return { 'taken', '', table.concat(taken, ','), frees, whole(now), expired }
end

local answer = 'same'
if record then
  record.quantity = quantity
else
  answer = 'new'
  local fence = whole(math.max((tonumber(known[2]) or 0) + 1, now_us))
  record = {
    id = id, token = token, quantity = quantity, fence = fence, acquired = whole(now),
    expires = now + ttl, extensions = 0, user = user,
  }
  counts[#counts + 1] = 'fence'
  counts[#counts + 1] = fence
end
redis.call('HSET', KEYS[1], unpack(counts))
write_record(slot, record)
return { answer, record_text(record), '', '', whole(now), expired }
