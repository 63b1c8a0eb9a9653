-- ARGV: slot, token, extra (ms), most extensions, extensions that the caller has seen
-- Answers {outcome, record, now, expired}.
local slot, token, extra, most, seen =
  ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local expired = take_expired()
local record, refusal = owned(slot, token)
if not record then return { refusal, '', tostring(now), expired } end
-- The answer to an earlier call was lost: it is this one, repeated.
if record.extensions > seen then return { 'already', record_text(record), tostring(now), expired } end
if record.extensions >= most then return { 'max', record_text(record), tostring(now), expired } end
record.extensions = record.extensions + 1
record.expires = record.expires + extra
return { 'done', write_record(slot, record), tostring(now), expired }
