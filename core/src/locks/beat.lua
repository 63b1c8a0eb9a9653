-- ARGV: channel of the process. A sign of life for its waiters; also hands over what has ended by itself.
-- Returns {tokens of the lease or '', remaining (ms), '1' if the process counted as dead, '1' if the first waiter is
-- one of its own, expired}.
local channel = ARGV[1]

local lease = read_lease()
if lease and lease.err then return lease end
local expired, changed = settle(lease)
local was_dead = live_on(channel)
if not is_live(lease) then
  local handed = hand_over(lease, '')
  if handed then lease, changed = handed, false end
end
if changed then write_lease(lease) end
local first = first_waiter()
local live = is_live(lease)
return {
  live and lease.tokens or '', live and whole(lease.expires - now) or '0', was_dead and '1' or '0',
  (first and first.channel == channel) and '1' or '0', expired,
}
