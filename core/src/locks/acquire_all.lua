-- Several locks in one step, in the order in which KEYS lists them, up to the first that is refused.
-- ARGV: owner, ttl (ms), channel of the process, '1' if its owner may enter again, '1' if a refusal gives back what was
-- taken before it, token of each lock in turn. No request is queued.
-- Returns what acquire answers, lock by lock up to the refusal.
local owner, ttl, channel, again, all_or_none = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local answers = {}
local function give_back()
  for number = 1, #answers do
    at(number)
    release({ ARGV[5 + number], channel })
  end
end

for number = 1, #KEYS / 3 do
  at(number)
  local answer = acquire({ ARGV[5 + number], owner, ttl, channel, '0', again })
  if answer.err or (answer[1] ~= 'granted' and all_or_none == '1') then give_back() end
  if answer.err then return answer end
  answers[number] = answer
  if answer[1] ~= 'granted' then break end
end
return answers
