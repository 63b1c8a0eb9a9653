-- What the scripts of stay holds share after their common case.

-- Lua cannot unpack much more than this into one call.
local CHUNK = 1000

local function read_slot(slot)
  local first, last = string.match(slot, '^(-?%d+):(-?%d+):')
  return tonumber(first), tonumber(last)
end

local function read_record(text)
  local id, token, quantity, fence, acquired, expires, extensions, user =
    string.match(text, '^(%x+)\t(%x+)\t(%d+)\t(%d+)\t(%d+)\t(%d+)\t(%d+)\t(.*)$')
  return {
    id = id, token = token, quantity = tonumber(quantity), fence = fence, acquired = acquired,
    expires = tonumber(expires), extensions = tonumber(extensions), user = user,
  }
end

local function record_text(record)
  return table.concat({ record.id, record.token, record.quantity, record.fence, record.acquired,
    record.expires, record.extensions, record.user }, '\t')
end

-- Calls command(key, ...) with any (even) number of arguments.
local function in_chunks(command, key, arguments)
  local answers = {}
  for from = 1, #arguments, CHUNK do
    local answer = redis.call(command, key, unpack(arguments, from, math.min(from + CHUNK - 1, #arguments)))
    if type(answer) == 'table' then
      for index = 1, #answer do answers[#answers + 1] = answer[index] end
    end
  end
  return answers
end

-- Adds change[day] units to each night.
local function change_nights(change)
  local days, fields = {}, {}
  for day in pairs(change) do
    days[#days + 1] = day
    fields[#fields + 1] = 'n' .. day
  end
  local counts = in_chunks('HMGET', KEYS[1], fields)
  local gone, kept = {}, {}
  for index, day in ipairs(days) do
    local units = (tonumber(counts[index]) or 0) + change[day]
    if units > 0 then
      kept[#kept + 1] = fields[index]
      kept[#kept + 1] = units
    else
      gone[#gone + 1] = fields[index]
    end
  end
  in_chunks('HSET', KEYS[1], kept)
  in_chunks('HDEL', KEYS[1], gone)
end

-- Takes slots out of the table; returns a flat list of slot and record.
local function take(slots)
  local fields = {}
  for index, slot in ipairs(slots) do fields[index] = 'h' .. slot end
  local records = in_chunks('HMGET', KEYS[1], fields)
  -- Units by the nights on which they begin and end, so that ten thousand long holds cost no more than their
  -- different nights.
  local edges, taken = {}, {}
  for index, slot in ipairs(slots) do
    if records[index] then
      local first, last = read_slot(slot)
      local quantity = read_record(records[index]).quantity
      edges[first] = (edges[first] or 0) + quantity
      edges[last] = (edges[last] or 0) - quantity
      taken[#taken + 1] = slot
      taken[#taken + 1] = records[index]
    end
  end
  local days = {}
  for day in pairs(edges) do days[#days + 1] = day end
  table.sort(days)
  local change, units = {}, 0
  for index, day in ipairs(days) do
    units = units + edges[day]
    if units ~= 0 then
      for night = day, days[index + 1] - 1 do change[night] = -units end
    end
  end
  change_nights(change)
  if #taken > 0 then redis.call('HINCRBY', KEYS[1], 'live', -#taken / 2) end
  in_chunks('HDEL', KEYS[1], fields)
  in_chunks('ZREM', KEYS[2], slots)
  return taken
end

-- A server that evicts keys may have dropped one of the two. Without the table the holds are lost, like after any
-- loss of data; without the ends they would never end, so these are written anew from the records, and so are the
-- units per night.
local function mend()
  redis.call('DEL', KEYS[2])
  local all = redis.call('HGETALL', KEYS[1])
  local stale, units, live = {}, {}, 0
  for index = 1, #all, 2 do
    local field, value = all[index], all[index + 1]
    local kind = string.sub(field, 1, 1)
    if kind == 'n' then
      stale[#stale + 1] = field
    elseif kind == 'h' then
      local slot, record = string.sub(field, 2), read_record(value)
      local first, last = read_slot(slot)
      for day = first, last - 1 do units[day] = (units[day] or 0) + record.quantity end
      redis.call('ZADD', KEYS[2], record.expires, slot)
      live = live + 1
    end
  end
  in_chunks('HDEL', KEYS[1], stale)
  change_nights(units)
  if live > 0 then redis.call('HSET', KEYS[1], 'live', live) else redis.call('HDEL', KEYS[1], 'live') end
end

-- Takes out the holds whose time has passed, each once in all scripts together. Every step but the common ones begins
-- with it, so it looks first whether table and ends have the same holds.
local function take_expired()
  local live = redis.call('HGET', KEYS[1], 'live')
  if redis.call('ZCARD', KEYS[2]) ~= tonumber(live or 0) then mend() end
  local slots = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)
  if #slots == 0 then return {} end
  return take(slots)
end

-- Writes a record, and with it the fields and values that `more` lists. Returns the record's text.
local function write_record(slot, record, more)
  local text = record_text(record)
  if more then
    more[#more + 1] = 'h' .. slot
    more[#more + 1] = text
    redis.call('HSET', KEYS[1], unpack(more))
  else
    redis.call('HSET', KEYS[1], 'h' .. slot, text)
  end
  redis.call('ZADD', KEYS[2], record.expires, slot)
  redis.call('HSET', KEYS[1], 'first_end', redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2])
  redis.call('PEXPIRE', KEYS[1], RETENTION)
  redis.call('PEXPIRE', KEYS[2], RETENTION)
  return text
end

-- What every step but the common ones answers: now (ms), the ended holds as a flat list of slot and record, the
-- outcome, and what belongs to the outcome. The reader is `Answer` in redis.rs.
local function answer(expired, outcome, ...)
  return { tostring(now), expired, outcome, ... }
end
-- Where an answer has its outcome, and the record behind it.
local OUTCOME, RECORD = 3, 4

-- The record of a slot if the token owns it; otherwise why not.
local function owned(slot, token)
  local text = redis.call('HGET', KEYS[1], 'h' .. slot)
  if not text then return nil, 'gone' end
  local record = read_record(text)
  if record.token ~= token then return nil, 'not_owner' end
  return record
end

-- When the first of the other holds on one of these nights ends (ms), or nil. Only a refusal looks at other holds, and
-- only until it finds one.
local function frees_at(taken, slot)
  local is_taken, first, last = {}, taken[1], taken[#taken] + 1
  for _, day in ipairs(taken) do is_taken[day] = true end
  local from = 0
  while true do
    local page = redis.call('ZRANGE', KEYS[2], from, from + 255, 'WITHSCORES')
    if #page == 0 then return nil end
    for index = 1, #page, 2 do
      local begins, ends = read_slot(page[index])
      if page[index] ~= slot and begins < last and first < ends then
        for day = math.max(begins, first), math.min(ends, last) - 1 do
          if is_taken[day] then return whole(page[index + 1]) end
        end
      end
    end
    from = from + 256
  end
end

-- Which hold of the same conversation is in the way, if no other is: without such holds there were room in all of these
-- nights, of which missing[day] says how many units lack. Returns its slot and its record, parted by a tab, or ''. Only
-- a refusal looks, at the newest holds, so that a resource with thousands does not keep the server.
local function own_in_the_way(taken, missing, slot)
  -- Behind a colon a bare '-' would repeat it.
  local holder = string.match(slot, '^%-?%d+:%-?%d+:(=.*)$')
  if not holder then return '' end
  local first, last, found = taken[1], taken[#taken] + 1, ''
  for _, other in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, 2047)) do
    if other ~= slot and string.sub(other, -#holder) == holder then
      local begins, ends = read_slot(other)
      local text = begins < last and first < ends and string.match(other, '^%-?%d+:%-?%d+:(.*)$') == holder
        and redis.call('HGET', KEYS[1], 'h' .. other)
      if text then
        local quantity, touches = read_record(text).quantity, false
        for day = math.max(begins, first), math.min(ends, last) - 1 do
          if missing[day] then
            missing[day], touches = missing[day] - quantity, true
          end
        end
        if touches and found == '' then found = other .. '\t' .. text end
      end
    end
  end
  for _, units in pairs(missing) do
    if units > 0 then return '' end
  end
  return found
end
