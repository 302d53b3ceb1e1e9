"""Break the pure modules and see whether a test notices: `make mutants`, about an hour on two cores.

Ends with an error if a mutant survives without a reason, or if fewer than nine of ten are noticed in a module. Writes
`docs/evidence/mutants.json`. `ARGS=--read` judges what an earlier run left in `mutants/`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.mutants import found
from tests.mutants.found import Mutant
from tests.mutants.reasons import reason_of
from tests.prove import evidence

FOLDER = Path("mutants")
LEAST = 90.0
"""Percent of a module's mutants that tests must notice."""


def run(children: int) -> None:
    """Let mutmut change the modules and run their tests. Raises CalledProcessError."""
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(children)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PROPERTIES"] = "brief"
    log = Path("var/mutants.log")
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as written:
        subprocess.run(command, env=environment, stdout=written, stderr=subprocess.STDOUT, check=True)


def judge(mutants: Sequence[Mutant]) -> dict[str, Any]:
    """Return the score of each module over what was tried, and the survivors with their reasons."""
    names = sorted({one.module for one in mutants})
    modules = {name: score([one for one in mutants if one.module == name]) for name in names}
    left = [
        {"module": one.module, "function": one.function, "change": one.change, "reason": reason_of(one)}
        for one in mutants
        if one.noticed is False
    ]
    return {**score(mutants), "modules": modules, "survivors": left}


def score(mutants: Sequence[Mutant]) -> dict[str, Any]:
    """Count what was tried and noticed; what a run that was stopped did not come to is counted apart."""
    tried = [one for one in mutants if one.noticed is not None]
    noticed = sum(bool(one.noticed) for one in tried)
    return {
        "mutants": len(tried),
        "noticed": noticed,
        "percent": round(100 * noticed / max(1, len(tried)), 1),
        "untried": len(mutants) - len(tried),
    }


def complaints(judged: dict[str, Any]) -> list[str]:
    """List what is wrong: modules with a low score, and survivors without a reason."""
    low = [f"{name}: {one['percent']} %" for name, one in judged["modules"].items() if one["percent"] < LEAST]
    if judged["untried"]:
        low.append(f"{judged['untried']} were not tried")
    return low + [
        f"SURVIVED {one['module']}.{one['function']}: {one['change']}"
        for one in judged["survivors"]
        if not one["reason"]
    ]


def main() -> int:
    """Run, judge and keep the evidence; gives the exit code."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--read", action="store_true", help="judge what an earlier run left")
    parser.add_argument("--children", type=int, default=2, help="mutants that are tried at once; default: 2")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    if not options.read:
        run(options.children)
    judged = judge(list(found.read(FOLDER)))
    about = {**evidence.about("make mutants", load), "mutmut": version("mutmut")}
    (evidence.FOLDER / "mutants.json").write_text(json.dumps({"about": about, **judged}, indent=1) + "\n")
    wrong = complaints(judged)
    print(*wrong, f"{judged['noticed']} of {judged['mutants']} noticed, {judged['percent']} %", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
