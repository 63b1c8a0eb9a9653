-- ARGV: token and ttl (ms) of each lock in turn. Never shortens. Answers 'extended' or 'lost', lease, and expired of
-- each lock in turn.
local answers = {}
for number = 1, #KEYS / 3 do
  at(number)
  local token, ttl = ARGV[number * 2 - 1], tonumber(ARGV[number * 2])
  local lease = read_lease()
  local outcome, text, expired, changed = 'lost', '', '', false
  -- What is no lease is no lock of ours any more, and no reason to fail the others.
  if not (lease and lease.err) then
    expired, changed = settle(lease)
    if is_live(lease) and lease.state == 'held' and owns(lease, token) then
      lease.expires = math.max(lease.expires, now + ttl)
      changed, outcome, text = true, 'extended', lease_text(lease)
    elseif not is_live(lease) and hand_over(lease, '') then
      changed = false
    end
    if changed then write_lease(lease) end
  end
  answers[number * 3 - 2], answers[number * 3 - 1], answers[number * 3] = outcome, text, expired
end
return answers
