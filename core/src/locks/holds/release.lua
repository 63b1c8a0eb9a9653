-- Every case; ARGV and the answer stand in release_held.lua.
local slot, token = ARGV[1], ARGV[2]

local expired = take_expired()
local record, refusal = owned(slot, token)
if record then
  local taken = take({ slot })
  return answer(expired, 'released', taken[2])
end
return answer(expired, refusal)
