-- ARGV: token, owner, ttl (ms), retention (ms), channel of the process or '' (does not wait), life of a waiter (ms)
-- Answers {'granted', lease, expired} or {'busy', holder, remaining (ms), waiters in front, expired}.
local token, owner, ttl, retention, channel, life =
  ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])

local lease = read_lease()
if lease and lease.err then return lease end
local expired = expire(lease)
local held = lease and lease.state == 'held'

if held and lease.token == token then
  -- Repeated: the caller counts its time from this request.
  lease.expires = math.max(lease.expires, now + ttl)
  write_lease(lease, retention)
  return { 'granted', lease_text(lease), expired }
end

local first
if not held or channel ~= '' then first = first_waiter() end
if not held and (not first or first == token) then
  if first == token then leave_queue(token) end
  local granted = {
    state = 'held', fence = math.max((lease and lease.fence or 0) + 1, now_us), token = token,
    acquired = whole(now), expires = now + ttl, owner = owner,
  }
  write_lease(granted, retention)
  return { 'granted', lease_text(granted), expired }
end

if expired ~= '' then write_lease(lease, retention) end
local ahead = redis.call('ZRANK', KEYS[2], token)
if channel ~= '' then
  if not ahead then
    local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
    redis.call('ZADD', KEYS[2], whole(math.max((tonumber(last[2]) or 0) + 1, now_us)), token)
    ahead = redis.call('ZCARD', KEYS[2]) - 1
  end
  redis.call('HSET', KEYS[3], token, whole(now + life) .. '\t' .. channel)
  redis.call('PEXPIRE', KEYS[2], whole(life * 10))
  redis.call('PEXPIRE', KEYS[3], whole(life * 10))
elseif not ahead then
  ahead = redis.call('ZCARD', KEYS[2])
end
if held then return { 'busy', lease.owner, whole(lease.expires - now), whole(ahead), expired } end
return { 'busy', '', '0', whole(ahead), expired }
