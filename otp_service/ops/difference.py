"""What changed between two versions of the policy, as a unified diff.

Knows texts only. Must not know what they mean. Comparing texts can take time that grows with the square of their
length, so it is done in a process with limits: `python -m otp_service.ops.difference`.
"""

import difflib
import json
import sys
from collections.abc import Sequence

from otp_service.child_process import LimitedWork, NoTurn, TooMuchWork, work
from otp_service.errors import Busy
from otp_service.policy.versions import Version

RETRY_AFTER = 5
MODULE = "otp_service.ops.difference"


class Differences:
    """Compares versions, one pair at a time."""

    def __init__(self, process: LimitedWork | None = None) -> None:
        self._process = process or LimitedWork(MODULE)

    def between(self, old: Version, new: Version) -> str:
        """Return a unified diff of two versions' texts; empty if they are equal.

        If finding what both have in common takes too much, all lines are shown as changed. Raises Busy.
        """
        given = [(_label(one), one.text.splitlines(keepends=True)) for one in (old, new)]
        try:
            return self._process.do(json.dumps(given).encode()).decode()
        except TooMuchWork:
            return _rewritten(*given)
        except NoTurn:
            raise Busy("Versions are being compared already. Try again.", retry_after=RETRY_AFTER) from None


def _label(version: Version) -> str:
    return f"version {version.number}" if version.number else "the file"


Text = tuple[str, Sequence[str]]
"""A label and lines."""


def _rewritten(old: Text, new: Text) -> str:
    """Write a diff in which every line is removed, and every line is added."""
    (before, removed), (after, added) = old, new
    head = [
        f"--- {before}",
        f"+++ {after}",
        f"@@ -{_range(removed)} +{_range(added)} @@",
    ]
    lines = [*head, *(f"-{line}" for line in removed), *(f"+{line}" for line in added)]
    return "".join(map(_whole, lines))


def _range(lines: Sequence[str]) -> str:
    return f"1,{len(lines)}" if lines else "0,0"


def _whole(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n"


def _compared(given: bytes) -> bytes:
    (before, removed), (after, added) = json.loads(given)
    return "".join(map(_whole, difflib.unified_diff(removed, added, before, after))).encode()


if __name__ == "__main__":
    sys.exit(work(_compared))
