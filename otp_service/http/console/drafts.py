"""A policy that an operator is editing: its text, the version it began from, and what is wrong with it where.

Knows how problems name their lines. Must not know what a policy says. A draft is stored nowhere: each form carries it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from flask import g, request

from otp_service.errors import PolicyInvalid
from otp_service.http.console.forms import field
from otp_service.http.view import core
from otp_service.ops.policy_changes import version_of
from otp_service.policy import Policy
from otp_service.policy.versions import Version

_AT_LINE = re.compile(r"(.*) \(line ([0-9]+)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, at which line of the text, and what stands there. Line 0 is the whole text."""

    line: int
    what: str
    there: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A text with the policy that it says, or with the problems that prevent one."""

    text: str
    expected: int
    policy: Policy | None = None
    problems: Sequence[Problem] = ()
    changed: bool = False


def in_force() -> Draft:
    """Return the policy in force as a draft."""
    newest, active = version_of(core().policies), g.active
    if active.version == newest.number:
        return Draft(newest.text, newest.number, active.policy)
    return checked(newest.text, newest.number)


def from_form() -> Draft:
    """Read the draft of the form, and check it. Raises Busy."""
    return with_text(text_of_form())


def with_text(text: str) -> Draft:
    """Put another text into the draft of the form, and check it; the text in force is no change. Raises Busy."""
    newest = version_of(core().policies)
    if text == _with_own_line_ends(newest.text):
        return checked(newest.text, newest.number)
    return checked(text, _expected(), changed=True)


def unchecked() -> Draft:
    """Read the draft of the form as it is, when it cannot be checked now."""
    return Draft(text_of_form(), _expected(), changed=True)


def _expected() -> int:
    """Read the version from which the draft began; 0 if the form names none."""
    given = field("expected")
    return int(given) if re.fullmatch(r"[0-9]{1,9}", given) else 0


def text_of_form() -> str:
    """Return the text of the form with the line ends that it had: browsers send CRLF."""
    return _with_own_line_ends(request.form.get("text", ""))


def _with_own_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n")


def checked(text: str, expected: int, *, changed: bool = False) -> Draft:
    """Check a text. Raises Busy."""
    try:
        return Draft(text, expected, core().policy_changes.check(text), changed=changed)
    except PolicyInvalid as error:
        return Draft(text, expected, problems=problems_of(error, text), changed=changed)


def problems_of(error: PolicyInvalid, text: str) -> list[Problem]:
    """Name the line of each problem."""
    lines = text.split("\n")
    found = []
    for _, rule in error.rules():
        match = _AT_LINE.fullmatch(rule)
        line = int(match[2]) if match else 0
        there = lines[line - 1] if 0 < line <= len(lines) else ""
        found.append(Problem(line, match[1] if match else rule, there.strip()))
    return found


def as_version(draft: Draft) -> Version:
    """Return a draft as a version that is not applied yet, to compare it."""
    return Version(0, draft.text, "", 0, "")
