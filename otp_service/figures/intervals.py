"""Confidence intervals of shares, and of the difference of two shares.

Pure. Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of
eleven methods", Statistics in Medicine 17 (1998), 873-890, method 10. It is made of the score intervals of E. B.
Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212.
"""

import math

Z = 1.959963984540054
"""The normal distribution's 97.5th percentile: an interval of 95 %."""


def wilson(found: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, of which `found` in `of` were seen; all is possible if none were."""
    if of == 0:
        return 0.0, 1.0
    share = found / of
    middle = share + Z * Z / (2 * of)
    half = Z * math.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of))
    whole = 1 + Z * Z / of
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def newcombe(found: int, of: int, other_found: int, other_of: int) -> tuple[float, float]:
    """Return the 95 % interval of the first share less the other one. Both must have been seen at least once."""
    first, second = found / of, other_found / other_of
    (low, high), (other_low, other_high) = wilson(found, of), wilson(other_found, other_of)
    difference = first - second
    return (
        difference - math.hypot(first - low, other_high - second),
        difference + math.hypot(high - first, second - other_low),
    )
