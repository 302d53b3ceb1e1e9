"""The policy document: reads TOML into a frozen Policy.

Reports problems together, each with its place and line. Must not know where the document is stored.
"""

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from otp_service.errors import ConfigurationError
from otp_service.policy import bounds, checks, links, review_checks, sender_checks, split_checks, text_checks
from otp_service.policy.draft import Draft, EnoughFound, Findings, read
from otp_service.policy.model import Policy
from otp_service.policy.places import lines_of
from otp_service.typed import is_line

_LONGEST = 1000
"""Characters of a sentence about a problem; a key or a name that it repeats may be longer."""
_BASIC = 0xFFFF


def parse(text: str) -> Policy:
    """Read a policy document. Raises ConfigurationError with its problems, each with its place and line.

    After the first 50 problems, no more are looked for.
    """
    document = _load(text)
    lines = lines_of(text)
    draft = _checked(document, Findings(lines))
    return Policy(
        apps=draft.apps,
        upstreams=draft.upstreams,
        operators=draft.operators,
        routes=draft.routes,
        challenge=draft.challenge,
        guard=draft.guard,
        alerts=draft.alerts,
        templates=draft.templates,
        hosts=tuple(draft.hosts),
        warnings=tuple(map(_sentence, _warnings(draft, Findings(lines)))),
    )


def _checked(document: Mapping[str, Any], problems: Findings) -> Draft:
    draft = None
    with suppress(EnoughFound):
        for place, rule in bounds.list_crowds(document):
            problems.add(place, rule)
        if not problems:
            draft = read(document, problems)
            checks.report_contradictions(draft, problems)
            split_checks.report_contradictions(draft, problems)
            review_checks.report_contradictions(draft, problems)
            links.report_links(draft, problems)
    if draft is None or problems:
        raise _refusal(*problems.report())
    return draft


def _warnings(draft: Draft, warnings: Findings) -> list[str]:
    with suppress(EnoughFound):
        for module in (checks, text_checks, sender_checks, review_checks):
            module.report_warnings(draft, warnings)
    return warnings.report()


def _load(text: str) -> dict[str, Any]:
    if problem := bounds.text_problem(text):
        raise _refusal(problem)
    document = _parsed(text)
    if problem := bounds.total_problem(document):
        raise _refusal(problem)
    return document


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also raised for an integer of thousands of digits
        what = str(error)
        line = found[1] if (found := re.search(r"\(at line (\d+),", what)) else text.count("\n") + 1
        rule = re.sub(r" \(at [^()]*\)\Z", "", what)
        raise _refusal(f"is not valid TOML: {rule} (line {line})") from None


def _refusal(*problems: str) -> ConfigurationError:
    return ConfigurationError([f"policy: {_sentence(problem)}" for problem in problems])


def _sentence(problem: str) -> str:
    """Write a sentence that repeats parts of the document on one line, as terminals and logs show it."""
    if len(problem) > _LONGEST:
        problem = f"{problem[: _LONGEST // 2]}...{problem[-_LONGEST // 2 :]}"
    return problem if is_line(problem) else "".join(map(_shown, problem))


def _shown(char: str) -> str:
    """Write a character as TOML may spell it if it cannot be seen, moves what is around it, or ends the line."""
    return char if is_line(char) else f"\\u{ord(char):04X}" if ord(char) <= _BASIC else f"\\U{ord(char):08X}"
