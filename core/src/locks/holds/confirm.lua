-- ARGV: slot, token, least time to live from now (ms). Answers {outcome, record, now, expired}.
local slot, token, least = ARGV[1], ARGV[2], tonumber(ARGV[3])

local expired = take_expired()
local record, refusal = owned(slot, token)
if not record then return { refusal, '', tostring(now), expired } end
if record.expires < now + least then
  record.expires = now + least
  write_record(slot, record)
end
return { 'done', record_text(record), tostring(now), expired }
