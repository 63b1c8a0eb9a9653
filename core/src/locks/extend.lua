-- ARGV: token, ttl (ms), retention (ms). Never shortens. Answers {'extended', lease, expired} or {'lost', '', expired}.
local token, ttl, retention = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local lease = read_lease()
if lease and lease.err then return lease end
local expired = expire(lease)
if lease and lease.state == 'held' and lease.token == token then
  lease.expires = math.max(lease.expires, now + ttl)
  write_lease(lease, retention)
  return { 'extended', lease_text(lease), expired }
end
if expired ~= '' then
  write_lease(lease, retention)
  wake_first()
end
return { 'lost', '', expired }
