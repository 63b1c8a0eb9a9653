-- The moment, by the clock of the server, in digits: microseconds and milliseconds since 1970.
local clock = redis.call('TIME')
local micros = clock[1] .. string.sub('000000' .. clock[2], -6)
local millis = string.sub(micros, 1, -4)
