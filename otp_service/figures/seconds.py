"""Times from sending to verification, counted in buckets that grow with the time.

Pure. Must not know whose times they are.
"""

import math
from collections.abc import Mapping

_STEPS = 6
"""Buckets in a doubling: a time that is read is at most 6 % off, from 1 s to 10 min, with few counters."""


def bucket_of(seconds: float) -> int:
    """Return the bucket of a time; less than a second counts as one."""
    return round(_STEPS * math.log2(max(1.0, seconds)))


def quantile(times: Mapping[int, int], share: float) -> float | None:
    """Return the seconds within which `share` of the times lie, by bucket and count; None without any."""
    left = math.ceil(share * sum(times.values()))
    for bucket in sorted(times):
        left -= times[bucket]
        if left <= 0:
            return math.exp2(bucket / _STEPS)
    return None
