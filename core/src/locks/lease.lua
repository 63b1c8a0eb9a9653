-- What the scripts of named locks share.
--
-- KEYS[1] lease    text, fields parted by tabs: state, fence, token, acquired (ms), expires (ms), owner
-- KEYS[2] queue    sorted set of waiting tokens, by arrival
-- KEYS[3] waiters  hash: token -> end of its life (ms), tab, channel of its process
--
-- The lease stays for a while after the lock has ended, so that the fence does not go back and so that an end
-- without a release is noticed: state is `held` until somebody releases it or notices that its time has passed.

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)

local function whole(number)
  return string.format('%.0f', number)
end

local function read_lease()
  local text = redis.call('GET', KEYS[1])
  if not text then return nil end
  local state, fence, token, acquired, expires, owner =
    string.match(text, '^(%a+)\t(%d+)\t(%x+)\t(%d+)\t(%d+)\t(.*)$')
  if not state then return redis.error_reply('POSADA the lease cannot be read') end
  return {
    state = state, fence = tonumber(fence), token = token, acquired = acquired,
    expires = tonumber(expires), owner = owner,
  }
end

local function lease_text(lease)
  return table.concat(
    { lease.state, whole(lease.fence), lease.token, lease.acquired, whole(lease.expires), lease.owner }, '\t')
end

local function write_lease(lease, retention)
  redis.call('SET', KEYS[1], lease_text(lease), 'PX', whole(math.max(lease.expires - now, 0) + retention))
end

-- Notices that a grant has ended by itself; answers its text the first time, an empty text otherwise. The caller
-- writes the lease.
local function expire(lease)
  if lease and lease.state == 'held' and lease.expires <= now then
    lease.state = 'ended'
    return lease_text(lease)
  end
  return ''
end

-- The token and the channel of the first waiter who is alive. Dead ones are forgotten.
local function first_waiter()
  while true do
    local token = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
    if not token then return nil end
    local life = redis.call('HGET', KEYS[3], token)
    local ends, channel
    if life then ends, channel = string.match(life, '^(%d+)\t(.*)$') end
    if ends and tonumber(ends) > now then return token, channel end
    redis.call('ZREM', KEYS[2], token)
    redis.call('HDEL', KEYS[3], token)
  end
end

local function leave_queue(token)
  if redis.call('ZREM', KEYS[2], token) == 1 then redis.call('HDEL', KEYS[3], token) end
end

local function wake_first()
  local token, channel = first_waiter()
  if token then redis.call('PUBLISH', channel, token) end
end
