-- ARGV: slot, token, extra (ms), most extensions, extensions that the caller has seen
-- Returns done, already, max: record; gone; not_owner.
local slot, token, extra, most, seen =
  ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local expired = take_expired()
local record, refusal = owned(slot, token)
if not record then return answer(expired, refusal) end
-- The answer to an earlier call was lost: it is this one, repeated.
if record.extensions > seen then return answer(expired, 'already', record_text(record)) end
if record.extensions >= most then return answer(expired, 'max', record_text(record)) end
record.extensions = record.extensions + 1
record.expires = record.expires + extra
return answer(expired, 'done', write_record(slot, record))
