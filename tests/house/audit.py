"""Asks a database of vulnerabilities about every package that the image holds, with pip-audit.

`python -m tests.house.audit` exits with 1 if one is known, or if only some packages could be asked about. If the
database answers for none, it says so in capital letters and exits with 0: a machine without it can still pass.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tests.house.test_sizes import PROJECT

UNANSWERED = "NOTHING WAS AUDITED: the database of vulnerabilities does not answer here."
MOST_SECONDS = 120
COMMAND = (sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner=off")


def judge(report: Mapping[str, Any] | None) -> tuple[int, str]:
    """Return the exit code for pip-audit's report in JSON, None if there is none, and what to say."""
    packages: Sequence[Mapping[str, Any]] = report["dependencies"] if report else ()
    asked = [one for one in packages if "skip_reason" not in one]
    if not asked:
        return 0, UNANSWERED
    missing = [one["name"] for one in packages if "skip_reason" in one]
    known = [f"{one['name']} {one['version']}: {bug['id']}" for one in asked for bug in one.get("vulns", ())]
    if missing or known:
        return 1, "\n".join([*known, *(f"{name}: could not be audited" for name in missing)])
    return 0, f"{len(asked)} packages, no known vulnerability"


def ask(lock: str = "requirements.txt") -> Mapping[str, Any] | None:
    """Run pip-audit; gives its report, or None if it wrote none, as without a network."""
    try:
        ended = subprocess.run(
            [*COMMAND, "--format=json", "-r", str(PROJECT / lock)],
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
            check=False,
        )
        found: Mapping[str, Any] = json.loads(ended.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    return found


def main() -> int:
    """Ask and say what was found; gives the exit code."""
    code, said = judge(ask())
    sys.stdout.write(f"pip-audit: {said}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
