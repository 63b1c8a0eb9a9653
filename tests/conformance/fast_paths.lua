-- ARGV: what makes the state, a list of commands or of lists of arguments for make; arguments of the call.
-- Answers what short answers and leaves, then what long does, as JSON.
local function play(way)
  for _, key in ipairs(KEYS) do redis.call('DEL', key) end
  for _, command in ipairs(cjson.decode(ARGV[1])) do
    if type(command[1]) == 'table' then
      make({ unpack(KEYS) }, command[1])
    else
      command[2] = KEYS[command[2]]
      redis.call(unpack(command))
    end
  end
  local answer = way({ unpack(KEYS) }, cjson.decode(ARGV[2]))
  local state = {}
  for number, key in ipairs(KEYS) do
    local kind = redis.call('TYPE', key).ok
    local values = {}
    if kind == 'string' then
      values = { redis.call('GET', key) }
    elseif kind == 'list' then
      values = redis.call('LRANGE', key, 0, -1)
    elseif kind == 'zset' then
      values = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    elseif kind == 'hash' then
      local flat = redis.call('HGETALL', key)
      for index = 1, #flat, 2 do values[#values + 1] = flat[index] .. ' = ' .. flat[index + 1] end
      table.sort(values)
    end
    -- To the day: the common cases let a key keep its time where setting it again would cost more than it is worth.
    local days = math.floor(redis.call('PTTL', key) / 86400000 + 0.5)
    state[number] = { kind, values, days }
  end
  for _, key in ipairs(KEYS) do redis.call('DEL', key) end
  return cjson.encode(answer), cjson.encode(state)
end

local short_answer, short_state = play(short)
local long_answer, long_state = play(long)
return { short_answer, short_state, long_answer, long_state }
