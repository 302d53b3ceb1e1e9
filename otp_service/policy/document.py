"""The operators' document: TOML in, a frozen Policy out, or every problem at once, each with its place and line."""

import re
import tomllib
from typing import Any

from otp_service.errors import ConfigurationError
from otp_service.policy import checks
from otp_service.policy.draft import Findings, read
from otp_service.policy.model import Policy
from otp_service.policy.places import lines


def parse(text: str) -> Policy:
    """Read a policy document. Raises ConfigurationError with every problem, its place and its line."""
    document = _load(text)
    known = lines(text)
    problems, warnings = Findings(known), Findings(known)
    draft = read(document, problems)
    checks.contradict(draft, problems)
    if told := problems.told():
        raise ConfigurationError([f"policy: {problem}" for problem in told])
    checks.warn(draft, warnings)
    return Policy(
        apps=draft.apps,
        upstreams=draft.upstreams,
        operators=draft.operators,
        routes=draft.routes,
        challenge=draft.challenge,
        guard=draft.guard,
        templates=draft.templates,
        warnings=tuple(warnings.told()),
    )


def _load(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigurationError(["policy: is nested too deeply to be read"]) from None
    except ValueError as error:  # also for a figure of thousands of digits
        what = str(error)
        line = found[1] if (found := re.search(r"\(at line (\d+),", what)) else text.count("\n") + 1
        rule = re.sub(r" \(at [^()]*\)\Z", "", what)
        raise ConfigurationError([f"policy: is no TOML: {rule} (line {line})"]) from None
