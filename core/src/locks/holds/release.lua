-- ARGV: slot, token. Answers {outcome, record, now, expired}; the record is there when this call ended the hold.
local slot, token = ARGV[1], ARGV[2]

local expired = take_expired()
local record, refusal = owned(slot, token)
if record then
  local taken = take({ slot })
  return { 'released', taken[2], tostring(now), expired }
end
return { refusal, '', tostring(now), expired }
