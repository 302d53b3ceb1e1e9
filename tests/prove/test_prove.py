"""The commands that prove the headline figures work, and the pages show what was measured."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.prove import evidence
from tests.prove.page import CLAIMS, PAGES, missed, written
from tests.support.patience import PATIENCE


@pytest.mark.slow
@pytest.mark.needs_node
@pytest.mark.parametrize("name", ["races", "pumping", "fallback", "load", "alerts"])
def test_each_figure_is_proven_by_its_command(name: str) -> None:
    """Briefly, so that nothing is kept; a command that measures nothing ends with an error."""
    command = [sys.executable, "-m", "tests.prove", name, "--smoke"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10 * PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " reached" in done.stdout


def test_the_pages_show_what_was_measured() -> None:
    """The tables come from the evidence; `python -m tests.prove.page` writes them."""
    for page, folder in PAGES.items():
        assert page.read_text() == written(page, folder), page


def test_goals_that_a_run_did_not_reach_are_told_beside_its_claim() -> None:
    """A page that shows only what went well would mislead whoever repeats the command, which ends with an error."""
    records = {claim.name: evidence.read(evidence.FOLDER, claim.name) for claim in CLAIMS}
    kept = {name: record for name, record in records.items() if record}
    for page, folder in PAGES.items():
        lines = page.read_text().splitlines()
        for name, record in kept.items():
            asked = [one for one in record["figures"] if "reached" in one]
            count = sum(not one["reached"] for one in asked)
            [line] = [line for line in lines if f"({folder}{name}.json)" in line]
            assert (f"{count} of the run's {len(asked)} goals [not reached]" in line) == bool(count)
    assert missed(kept.values()) in Path("docs/evidence.md").read_text()


def test_a_missed_goal_is_shown_with_what_was_asked() -> None:
    """Those that were reached, and figures of which nothing is asked, are left out."""
    figures = [
        {"name": "  CPU", "value": 5.5, "unit": "ms", "note": "", "least": None, "most": 5, "reached": False},
        {"name": "share", "value": 2, "unit": "", "note": "", "least": 1, "most": None, "reached": True},
        {"name": "peak", "value": 300, "unit": "pairs/s", "note": "", "least": None, "most": None},
    ]
    [_, _, *rows] = missed([{"claim": "Quick", "figures": figures}]).splitlines()
    assert rows == ["| Quick | CPU | 5.50 ms | at most 5 |"]
