-- Answers {now, expired, live}: both flat lists of slot and record, the live ones by their end.
local expired = take_expired()
local slots = redis.call('ZRANGE', KEYS[2], 0, -1)
local fields = {}
for index, slot in ipairs(slots) do fields[index] = 'h' .. slot end
local records = in_chunks('HMGET', KEYS[1], fields)
local live = {}
for index, slot in ipairs(slots) do
  if records[index] then
    live[#live + 1] = slot
    live[#live + 1] = records[index]
  end
end
return { tostring(now), expired, live }
