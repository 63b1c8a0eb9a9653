-- The moment, by the clock of the server: microseconds and milliseconds since 1970.
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)

-- A number of microseconds has more digits than Lua writes by itself.
local function whole(number)
  return string.format('%.0f', number)
end
