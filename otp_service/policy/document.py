"""The policy document: reads TOML into a frozen Policy.

Reports all problems at once, each with its place and line. Must not know where the document is stored.
"""

import re
import tomllib
from typing import Any

from otp_service.errors import ConfigurationError
from otp_service.policy import checks, sender_checks, text_checks
from otp_service.policy.draft import Findings, read
from otp_service.policy.model import Policy
from otp_service.policy.places import lines_of


def parse(text: str) -> Policy:
    """Read a policy document. Raises ConfigurationError with all problems, each with its place and line."""
    document = _load(text)
    lines = lines_of(text)
    problems, warnings = Findings(lines), Findings(lines)
    draft = read(document, problems)
    checks.report_contradictions(draft, problems)
    if found := problems.report():
        raise ConfigurationError([f"policy: {problem}" for problem in found])
    checks.report_warnings(draft, warnings)
    text_checks.report_warnings(draft, warnings)
    sender_checks.report_warnings(draft, warnings)
    return Policy(
        apps=draft.apps,
        upstreams=draft.upstreams,
        operators=draft.operators,
        routes=draft.routes,
        challenge=draft.challenge,
        guard=draft.guard,
        templates=draft.templates,
        warnings=tuple(warnings.report()),
    )


def _load(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigurationError(["policy: is nested too deeply"]) from None
    except ValueError as error:  # also raised for an integer of thousands of digits
        what = str(error)
        line = found[1] if (found := re.search(r"\(at line (\d+),", what)) else text.count("\n") + 1
        rule = re.sub(r" \(at [^()]*\)\Z", "", what)
        raise ConfigurationError([f"policy: is not valid TOML: {rule} (line {line})"]) from None
