-- The moment as numbers, and how they are written: a number of microseconds has more digits than Lua writes by itself.
local now_us, now = tonumber(micros), tonumber(millis)
local function whole(number)
  return string.format('%d', number)
end
