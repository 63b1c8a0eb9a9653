-- What the scripts of stay holds share: how they are stored. hold_table.lua has the rest.
--
-- KEYS[1] table hash: 'fence'; 'live' -> how many holds; 'first_end' -> no hold ends by itself before it (ms);
--               'n' .. day -> units held in that night (absent when none);
--               'h' .. slot -> id, token, quantity, fence, acquired (ms), expires (ms), extensions, user, parted by tabs
-- KEYS[2] ends  sorted set of slots by the end of their hold (ms)
--
-- A slot is first night ':' night after the last ':' holder; nights are days since 1970. Nothing here walks over
-- live holds: a step costs the nights it touches and the holds that ended since the last one.

-- How long the table is kept after its last change: longer than any hold lives, and the fence does not go back
-- meanwhile.
local RETENTION = '3456000000'
