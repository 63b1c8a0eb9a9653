-- Rate limits in one indivisible step, with the keys and values of the Python package `limits`.
-- KEYS: two per limit: the counter (or list), and the previous window (used by the sliding counter only).
-- ARGV: mode (hit, hit_all, peek), then per limit: strategy (fixed, moving, sliding), amount, seconds, cost.
-- Answers four numbers per limit: allowed, remaining, milliseconds to the reset, milliseconds to a repeat.

local mode = ARGV[1]
local clock = redis.call('TIME')
local stamp = string.format('%d.%06d', clock[1], clock[2])
local now = tonumber(stamp)

local function milliseconds(seconds)
  return math.max(0, math.ceil(seconds * 1000))
end

local fixed = {}

-- What a request of this cost would meet.
function fixed.look(key, _, limit)
  local count = tonumber(redis.call('GET', key)) or 0
  local left = math.max(0, redis.call('PTTL', key))
  local allowed = count + limit.cost <= limit.amount
  -- Without an end it is mended by the next request that counts.
  local retry = left > 0 and left or limit.seconds * 1000
  return allowed, math.max(0, limit.amount - count), left, allowed and 0 or retry
end

function fixed.take(key, _, limit)
  local count = redis.call('INCRBY', key, limit.cost)
  -- A counter without an end would refuse for ever; `limits` makes one when it crashes between two commands.
  if count == limit.cost or redis.call('PTTL', key) == -1 then
    redis.call('EXPIRE', key, limit.seconds)
  end
end

local moving = {}

-- The place of the oldest entry that still counts; entries stand newest first.
local function oldest(key, limit, since)
  local low, high, found = 0, limit.amount - 1, nil
  while low <= high do
    local middle = math.floor((low + high) / 2)
    local entry = tonumber(redis.call('LINDEX', key, middle))
    if entry and entry >= since then
      found, low = middle, middle + 1
    else
      high = middle - 1
    end
  end
  return found
end

function moving.look(key, _, limit)
  local since = now - limit.seconds
  local found = oldest(key, limit, since)
  local count = found and found + 1 or 0
  local start = found and tonumber(redis.call('LINDEX', key, found)) or now
  local reset = milliseconds(start + limit.seconds - now)
  if limit.cost > limit.amount then
    return false, limit.amount - count, reset, reset
  end
  local blocking = tonumber(redis.call('LINDEX', key, limit.amount - limit.cost))
  if blocking and blocking >= since then
    return false, limit.amount - count, reset, milliseconds(blocking + limit.seconds - now)
  end
  return true, limit.amount - count, reset, 0
end

function moving.take(key, _, limit)
  for first = 1, limit.cost, 5000 do
    local entries = {}
    for index = first, math.min(first + 4999, limit.cost) do
      entries[index - first + 1] = stamp
    end
    redis.call('LPUSH', key, unpack(entries))
  end
  redis.call('LTRIM', key, 0, limit.amount - 1)
  redis.call('EXPIRE', key, limit.seconds)
end

local sliding = {}

-- The most of its life that a previous window may have left so that no more of its count is weighed than there is room.
local function fitting(count, room, window)
  if room < 0 or count == 0 then return 0 end
  return math.min(window, math.ceil((room + 1) * window / count)) - 1
end

function sliding.look(key, previous, limit)
  local window = limit.seconds * 1000
  local left = redis.call('PTTL', key)
  -- A counter lives for two windows; in its second one it is the previous window.
  if left > 0 and left < window then
    redis.call('RENAME', key, previous)
    redis.call('SET', key, 0, 'PX', left + window)
  end
  local before = tonumber(redis.call('GET', previous)) or 0
  local before_left = math.max(0, redis.call('PTTL', previous))
  local count = tonumber(redis.call('GET', key)) or 0
  left = math.max(0, redis.call('PTTL', key))
  local weighted = math.floor(before * before_left / window) + count
  local reset = 0
  if before > 0 or count > 0 then
    reset = window
    if before > 0 then reset = math.min(reset, before_left % (window / before)) end
    if count > 0 then reset = math.min(reset, left % window) end
  end
  local allowed = limit.cost <= limit.amount and weighted + limit.cost <= limit.amount
  local retry = 0
  if not allowed and count + limit.cost <= limit.amount then
    retry = before_left - fitting(before, limit.amount - limit.cost - count, window)
  elseif not allowed then
    retry = left - fitting(count, limit.amount - limit.cost, window)
  end
  return allowed, math.max(0, limit.amount - weighted), math.ceil(reset), math.max(0, math.ceil(retry))
end

function sliding.take(key, _, limit)
  if redis.call('EXISTS', key) == 1 then
    redis.call('INCRBY', key, limit.cost)
  else
    redis.call('SET', key, limit.cost, 'PX', limit.seconds * 2000)
  end
end

local strategies = { fixed = fixed, moving = moving, sliding = sliding }
local limits, everything = {}, true
for index = 1, #KEYS / 2 do
  local base = 4 * (index - 1) + 1
  local limit = {
    strategy = strategies[ARGV[base + 1]],
    amount = tonumber(ARGV[base + 2]),
    seconds = tonumber(ARGV[base + 3]),
    cost = tonumber(ARGV[base + 4]),
  }
  limit.window = { limit.strategy.look(KEYS[2 * index - 1], KEYS[2 * index], limit) }
  everything = everything and limit.window[1]
  limits[index] = limit
end

local answer = {}
for index, limit in ipairs(limits) do
  local key, previous = KEYS[2 * index - 1], KEYS[2 * index]
  local allowed, _, _, retry = unpack(limit.window)
  local counts_refused = mode == 'hit' and limit.strategy == fixed
  if mode ~= 'peek' and (counts_refused or (mode == 'hit' and allowed) or everything) then
    limit.strategy.take(key, previous, limit)
    local _, remaining, reset, after = limit.strategy.look(key, previous, limit)
    limit.window[2], limit.window[3] = remaining, reset
    if not allowed then retry = after end
  end
  answer[#answer + 1] = allowed and 1 or 0
  answer[#answer + 1] = limit.window[2]
  answer[#answer + 1] = limit.window[3]
  answer[#answer + 1] = retry
end
return answer
