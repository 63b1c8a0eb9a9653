-- Several holds in one step: all of them or none.
-- KEYS: table and ends of each in turn; ARGV: what hold takes, of each in turn.
-- Returns what hold answers, one by one up to the first refusal, which undoes those before it.
local FIELDS = 8

local keys = {}
for index = 1, #KEYS do keys[index] = KEYS[index] end
-- The functions of a hold table know it by the first two keys.
local function at(number)
  KEYS[1], KEYS[2] = keys[number * 2 - 1], keys[number * 2]
end

local answers, before = {}, {}
local function undo(number)
  at(number)
  local slot = ARGV[(number - 1) * FIELDS + 1]
  if answers[number][OUTCOME] == 'new' then
    take({ slot })
  elseif before[number] ~= answers[number][RECORD] then
    local first, last = read_slot(slot)
    local record = read_record(before[number])
    local change = {}
    for day = first, last - 1 do change[day] = record.quantity - read_record(answers[number][RECORD]).quantity end
    change_nights(change)
    write_record(slot, record)
  end
end

for number = 1, #keys / 2 do
  at(number)
  local arguments = { unpack(ARGV, (number - 1) * FIELDS + 1, number * FIELDS) }
  before[number] = redis.call('HGET', KEYS[1], 'h' .. arguments[1])
  answers[number] = hold(arguments)
  local outcome = answers[number][OUTCOME]
  if outcome ~= 'new' and outcome ~= 'same' then
    -- The last first: two of them may be on the same nights.
    for earlier = number - 1, 1, -1 do undo(earlier) end
    break
  end
end
return answers
