"""A route's split as both `policy simulate` and `blocks explain` tell it.

Pure. Must not know where a split comes from.
"""

from collections.abc import Sequence


def told_split(share: float, order: Sequence[str]) -> str:
    """Say who gets which other order."""
    return f"split: {share:.0%} of the people, drawn at random, get {', then '.join(order)} instead of this order"
