-- ARGV: none. Ends whatever grant there is, tells its holder, and hands the lock over.
-- Returns {'released' or 'free', lease, expired}.
local lease = read_lease()
if lease and lease.err then return lease end
local expired, changed = settle(lease)
local outcome, text = 'free', ''
if is_live(lease) then
  outcome, text = 'released', lease_text(lease)
  redis.call('PUBLISH', lease.channel, '!' .. lease.tokens)
  lease.state, lease.expires, changed = 'ended', now, true
end
if not hand_over(lease, '') and changed then save_lease(lease) end
return { outcome, text, expired }
