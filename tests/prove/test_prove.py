"""The commands that prove the headline figures work, and the pages show what was measured."""

import subprocess
import sys

import pytest

from tests.prove.page import PAGES, written
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
