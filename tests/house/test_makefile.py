"""The Makefile, which is how everyone starts."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
[PHONY] = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("target", PHONY.split())
def test_every_target_can_be_made(target: str) -> None:
    """One line that make cannot read stops all targets, also those that have nothing to do with it."""
    command = ["make", "--dry-run", "PY=true", target]  # a line with $(MAKE) runs all the same
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert planned.returncode == 0, planned.stderr
