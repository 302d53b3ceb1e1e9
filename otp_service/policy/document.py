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
        warnings=tuple(_warnings(draft, Findings(lines))),
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
        raise ConfigurationError([f"policy: {problem}" for problem in problems.report()])
    return draft


def _warnings(draft: Draft, warnings: Findings) -> list[str]:
    with suppress(EnoughFound):
        for module in (checks, text_checks, sender_checks, review_checks):
            module.report_warnings(draft, warnings)
    return warnings.report()


def _load(text: str) -> dict[str, Any]:
    if problem := bounds.text_problem(text):
        raise ConfigurationError([f"policy: {problem}"])
    document = _parsed(text)
    if problem := bounds.total_problem(document):
        raise ConfigurationError([f"policy: {problem}"])
    return document


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also raised for an integer of thousands of digits
        what = str(error)
        line = found[1] if (found := re.search(r"\(at line (\d+),", what)) else text.count("\n") + 1
        rule = re.sub(r" \(at [^()]*\)\Z", "", what)
        raise ConfigurationError([f"policy: is not valid TOML: {rule} (line {line})"]) from None
