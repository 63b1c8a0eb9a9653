-- Every case; ARGV stands in acquire_free.lua.
-- Returns {'granted', lease, expired}, {'full', '', expired} when its owner has entered too often, or
-- {'busy', holder, remaining (ms), waiters in front, expired}.
local token, owner, ttl, channel, waits, again = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local MOST_ENTRIES = 64

local lease = read_lease()
if lease and lease.err then return lease end
local expired, changed = settle(lease)

local enters = false
if is_live(lease) then
  if owns(lease, token) then
    -- Repeated, or claimed: the caller counts its time from this request.
    if lease.state == 'offered' then
      lease.state, lease.acquired, lease.channel = 'held', whole(now), channel
      lease.expires = now + ttl
    end
    enters = true
  elseif lease.state == 'held' and again == '1' and lease.again == '1' and lease.owner == owner then
    local _, others = string.gsub(lease.tokens, ',', ',')
    if others + 1 >= MOST_ENTRIES then return { 'full', '', expired } end
    lease.tokens = lease.tokens .. ',' .. token
    leave_queue(token)
    enters = true
  end
else
  local first = first_waiter()
  if not first or first.token == token then
    -- Only then: after a first write the server would not refuse the next for want of memory.
    if first then leave_queue(token) end
    lease = {
      state = 'held', fence = math.max((lease and lease.fence or 0) + 1, now_us), tokens = token,
      acquired = whole(now), expires = now + ttl, again = again, before = lease and lease.before or '',
      channel = channel, owner = owner,
    }
    enters = true
  else
    local handed = hand_over(lease, '')
    if handed then lease, changed = handed, false end
  end
end

if enters then
  lease.expires = math.max(lease.expires, now + ttl)
  write_lease(lease)
  return { 'granted', lease_text(lease), expired }
end

if changed then write_lease(lease) end
local ahead = redis.call('ZRANK', queue_key, token)
if waits == '1' then
  if not ahead then
    local last = redis.call('ZRANGE', queue_key, -1, -1, 'WITHSCORES')
    redis.call('ZADD', queue_key, whole(math.max((tonumber(last[2]) or 0) + 1, now_us)), token)
    redis.call('HSET', waiters_key, token, table.concat({ whole(ttl), again, channel, owner }, '\t'))
    ahead = redis.call('ZCARD', queue_key) - 1
  end
  live_on(channel)
elseif not ahead then
  ahead = redis.call('ZCARD', queue_key)
end
if is_live(lease) then return { 'busy', lease.owner, whole(lease.expires - now), whole(ahead), expired } end
return { 'busy', '', '0', whole(ahead), expired }
