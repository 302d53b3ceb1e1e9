"""What changed between two versions, within limits of time."""

import pytest

from otp_service.child_process import LimitedWork
from otp_service.errors import Busy
from otp_service.ops.difference import MODULE, Differences
from otp_service.policy.versions import Version

OLD, NEW = (Version(number, text, "a", 0, "r") for number, text in ((1, "a\nb"), (2, "a\nc")))


def test_a_difference_ends_in_whole_lines() -> None:
    """Also where a text does not; two equal texts have none."""
    found = Differences()
    assert found.between(OLD, NEW) == "--- version 1\n+++ version 2\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    assert found.between(OLD, OLD) == ""


def test_texts_that_take_too_much_to_compare_are_shown_as_rewritten() -> None:
    """All lines are removed and added: a comparison may take time that grows with the square of their number."""
    lines = [f"#{at}\n" for at in range(20_000)]
    old, new = (Version(at, "".join(text), "a", 0, "r") for at, text in ((1, lines), (2, lines[::-1])))
    shown = Differences(LimitedWork(MODULE, seconds=0.01)).between(old, new)
    assert shown.splitlines()[:4] == ["--- version 1", "+++ version 2", "@@ -1,20000 +1,20000 @@", "-#0"]
    assert shown.count("\n") == 3 + 2 * 20_000


def test_a_caller_is_told_when_others_are_first() -> None:
    """It waits no longer than the limit."""
    with pytest.raises(Busy):
        Differences(LimitedWork(MODULE, patience=0)).between(OLD, NEW)
