-- What the scripts of named locks share after their common case: leases as tables, and the queue.

local lease_key, queue_key, waiters_key
local function at(number)
  lease_key, queue_key, waiters_key = KEYS[number * 3 - 2], KEYS[number * 3 - 1], KEYS[number * 3]
end
at(1)

local function lease_text(lease)
  return table.concat({ lease.state, whole(lease.fence), lease.before, lease.tokens, whole(lease.expires),
    lease.acquired, lease.again, lease.channel, lease.owner }, '\t')
end

local function set_arguments(lease)
  if lease.state == 'ended' then
    return lease_key, table.concat({ 'ended', whole(lease.fence), lease.before }, '\t'), 'PX', RETENTION
  end
  return lease_key, lease_text(lease), 'PX', whole(math.max(lease.expires - now, 0) + RETENTION)
end

local function write_lease(lease)
  redis.call('SET', set_arguments(lease))
end

-- A server without memory refuses to write, and must still let go. The clock keeps the fence from going back.
local function save_lease(lease)
  local written = redis.pcall('SET', set_arguments(lease))
  if not written.err then return true end
  redis.call('DEL', lease_key)
  return false
end

local function read_lease()
  local text = redis.pcall('GET', lease_key)
  if type(text) == 'table' then return text end
  if not text then return nil end
  local last, released = string.match(text, '^ended\t(%d+)\t(%x*)$')
  if last then return { state = 'ended', fence = tonumber(last), before = released } end
  local state, fence, before, tokens, expires, acquired, again, channel, owner =
    string.match(text, '^(%a+)\t(%d+)\t(%x*)\t([%x,]+)\t(%d+)\t(%d+)\t(%d)\t([^\t]*)\t(.*)$')
  if not state then return redis.error_reply('POSADA the lease cannot be read') end
  return {
    state = state, fence = tonumber(fence), tokens = tokens, acquired = acquired, expires = tonumber(expires),
    again = again, before = before, channel = channel, owner = owner,
  }
end

local function owns(lease, token)
  return lease.tokens == token or string.find(',' .. lease.tokens .. ',', ',' .. token .. ',', 1, true) ~= nil
end

-- Looks whether the lease has ended by itself. Returns the text of a grant that did, the first time, and an empty
-- text otherwise; and whether the lease is to be written.
local function settle(lease)
  if not lease or lease.state == 'ended' or lease.expires > now then return '', false end
  local was = lease.state
  lease.state = 'ended'
  if was == 'held' then return lease_text(lease), true end
  -- The offer was not claimed. A process that was silent since then has probably ended, and so have its waiters.
  local life = redis.call('HGET', waiters_key, '@' .. lease.channel)
  if life and tonumber(life) - LIFE <= tonumber(lease.acquired) then
    redis.call('HDEL', waiters_key, '@' .. lease.channel)
  end
  return '', true
end

local function is_live(lease)
  return lease and lease.state ~= 'ended'
end

local function leave_queue(token)
  if redis.call('ZREM', queue_key, token) == 1 then redis.call('HDEL', waiters_key, token) end
end

-- The first waiter who is alive. Dead ones are forgotten.
local function first_waiter()
  while true do
    local token = redis.call('ZRANGE', queue_key, 0, 0)[1]
    if not token then return nil end
    local entry = redis.call('HGET', waiters_key, token)
    if entry then
      local ttl, again, channel, owner = string.match(entry, '^(%d+)\t(%d)\t([^\t]*)\t(.*)$')
      local life = redis.call('HGET', waiters_key, '@' .. channel)
      if life and tonumber(life) > now then
        return { token = token, ttl = tonumber(ttl), again = again, channel = channel, owner = owner }
      end
    end
    leave_queue(token)
    redis.call('HDEL', waiters_key, token)
  end
end

-- A sign of life of a process. Returns whether it counted as dead.
local function live_on(channel)
  local life = redis.call('HGET', waiters_key, '@' .. channel)
  redis.call('HSET', waiters_key, '@' .. channel, whole(now + LIFE))
  redis.call('PEXPIRE', waiters_key, QUEUE_LIFE)
  redis.call('PEXPIRE', queue_key, QUEUE_LIFE)
  return not life or tonumber(life) <= now
end

-- Gives a lock that is free to the first waiter. One of the calling process holds it at once, because the
-- answer tells; any other process is told by a message, and its waiter has to ask. Returns the lease, or nil.
local function hand_over(last, channel)
  local first = first_waiter()
  if not first then return nil end
  leave_queue(first.token)
  local near = first.channel == channel
  local lease = {
    state = near and 'held' or 'offered', fence = math.max((last and last.fence or 0) + 1, now_us),
    tokens = first.token, acquired = whole(now), expires = now + (near and first.ttl or CLAIM),
    again = first.again, before = last and last.before or '', channel = first.channel, owner = first.owner,
  }
  if not save_lease(lease) then return nil end
  if not near then redis.call('PUBLISH', first.channel, first.token) end
  return lease
end
