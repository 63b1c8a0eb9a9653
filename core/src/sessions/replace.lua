-- Replaces the text of a conversation if no other caller has written it. The text is never looked into: cjson would
-- turn empty lists into objects and large integers into floats.
-- KEYS[1] the conversation; ARGV[1] SHA-1 of the text that must be there, ARGV[2] the new text, ARGV[3] its SHA-1 if an
-- earlier call whose answer was lost may have stored it, else '', ARGV[4] its life in milliseconds.
-- Answers 1 when it is done, 0 when there is nothing to replace, and {text, milliseconds or -1} when another text is
-- there.
local stored = redis.pcall('GET', KEYS[1])
if type(stored) == 'table' then return stored end
if not stored then return 0 end
local version = redis.sha1hex(stored)
if version == ARGV[1] or version == ARGV[3] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4])
  return 1
end
return { stored, redis.call('PTTL', KEYS[1]) }
