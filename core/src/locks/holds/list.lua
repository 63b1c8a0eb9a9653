-- Returns live: slot and record of each live hold in turn, by their end.
local expired = take_expired()
local slots = redis.call('ZRANGE', KEYS[2], 0, -1)
local fields = {}
for index, slot in ipairs(slots) do fields[index] = 'h' .. slot end
local records = in_chunks('HMGET', KEYS[1], fields)
local listed = answer(expired, 'live')
for index, slot in ipairs(slots) do
  if records[index] then
    listed[#listed + 1] = slot
    listed[#listed + 1] = records[index]
  end
end
return listed
