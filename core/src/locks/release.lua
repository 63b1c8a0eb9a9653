-- ARGV: token, retention (ms). Ends the grant or the wait of the token, and wakes the first waiter.
-- Answers {outcome, lease, expired}; the lease is there when this call ended it.
local token, retention = ARGV[1], tonumber(ARGV[2])

local lease = read_lease()
if lease and lease.err then return lease end
local expired = expire(lease)
leave_queue(token)

if lease and lease.state == 'held' then
  if lease.token ~= token then return { 'not_owner', '', expired } end
  local text = lease_text(lease)
  lease.state = 'ended'
  -- A server without memory refuses to write, and must still let go. The clock keeps the fence from going back.
  local written = redis.pcall('SET', KEYS[1], lease_text(lease), 'PX', whole(retention))
  if type(written) == 'table' and written.err then redis.call('DEL', KEYS[1]) end
  wake_first()
  return { 'released', text, expired }
end
if expired ~= '' then write_lease(lease, retention) end
wake_first()
if expired ~= '' and lease.token == token then return { 'expired', '', expired } end
return { 'already_released', '', expired }
