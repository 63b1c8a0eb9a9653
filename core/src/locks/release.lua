-- Every case; ARGV stands in release_alone.lua. Ends the grant, the offer or the wait of the token, and hands the lock
-- over. Returns {outcome, lease, expired, next}; the lease is there when this call ended it, next when it went to a
-- waiter of the calling process.
local token, channel = ARGV[1], ARGV[2]

local lease = read_lease()
if lease and lease.err then return lease end
local expired, changed = settle(lease)
leave_queue(token)

local outcome, text = 'already_released', ''
if is_live(lease) then
  if not owns(lease, token) then
    return { lease.before == token and 'already_released' or 'not_owner', '', expired, '' }
  end
  if lease.tokens ~= token then
    local left = {}
    for other in string.gmatch(lease.tokens, '%x+') do
      if other ~= token then left[#left + 1] = other end
    end
    lease.tokens = table.concat(left, ',')
    write_lease(lease)
    return { 'left', '', expired, '' }
  end
  if lease.state == 'held' then
    outcome, text = 'released', lease_text(lease)
    lease.before = token
  end
  lease.state, lease.expires, changed = 'ended', now, true
elseif expired ~= '' and owns(lease, token) then
  outcome = 'expired'
end

local handed = hand_over(lease, channel)
if not handed and changed then save_lease(lease) end
return { outcome, text, expired, handed and handed.state == 'held' and lease_text(handed) or '' }
