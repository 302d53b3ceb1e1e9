-- A schedule is one sorted set with three bands of scores, so that an id is always in exactly one of them: `time` is when
-- work on something open is due, `time - BAND` since when something new waits for its first work, `time + BAND` when
-- something ends or has ended. All times are milliseconds.
local BAND = 10000000000000
