-- Settles the deliveries of a challenge that has ended: one that was not sent never will be, and what becomes of one that is
-- being sent is unknown until its outcome or a report comes. Its codes are not accepted any more.
local function end_deliveries(challenge)
  local ended = {queued = "not_sent", claimed = "not_sent", sending = "unknown"}
  for _, delivery in ipairs(challenge.deliveries) do
    delivery.status = ended[delivery.status] or delivery.status
    delivery.hash = nil
  end
end
