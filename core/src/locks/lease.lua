-- What the scripts of named locks share: how a lease is written. queue.lua has the rest.
--
-- A lock has three keys, all in one slot. KEYS lists them lock by lock:
-- lease    text, fields parted by tabs: state, fence, token of the release before; and unless it is `ended`: tokens,
--          expires (ms), acquired (ms), '1' if its owner may enter again, channel of the holder's process, owner
-- queue    sorted set of waiting tokens, by arrival
-- waiters  hash: token -> ttl (ms), '1' if it enters again, channel, owner, parted by tabs;
--          '@' .. channel -> until when that process counts as alive (ms)
--
-- A lease is `held`; or `offered` to the first waiter, who has until `expires` to ask for it; or `ended`. It stays for
-- a while after its end, so that the fence does not go back, and so that an end without a release is noticed: it is
-- `held` until a step releases it or notices that its time has passed. The step that writes `ended` has looked for
-- waiters who are alive and found none.

local RETENTION = 604800000
-- How long a process counts as alive after its last sign of life, and how long a waiter may take to claim.
local LIFE, CLAIM = 1500, 1000
local QUEUE_LIFE = 60000
