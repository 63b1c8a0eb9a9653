-- ARGV: slot, token, least time to live from now (ms). Returns done: record; gone; not_owner.
local slot, token, least = ARGV[1], ARGV[2], tonumber(ARGV[3])

local expired = take_expired()
local record, refusal = owned(slot, token)
if not record then return answer(expired, refusal) end
if record.expires < now + least then
  record.expires = now + least
  write_record(slot, record)
end
return answer(expired, 'done', record_text(record))
