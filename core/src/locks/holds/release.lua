-- Every case; ARGV and the answer stand in release_held.lua.
local slot, token = ARGV[1], ARGV[2]

local expired = take_expired()
local record, refusal = owned(slot, token)
if record then
  local taken = take({ slot })
  return { 'released', taken[2], tostring(now), expired }
end
return { refusal, '', tostring(now), expired }
