"""The Makefile, which is how everyone starts."""

import re
import subprocess
import tomllib
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


def test_what_make_test_leaves_out_runs_before_a_change_lands() -> None:
    """Each marker for long tests, and for tools that few machines have, is in both selections."""
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    markers = [line.split(":")[0] for line in configuration["tool"]["pytest"]["ini_options"]["markers"]]
    left_out, run = ((ROOT / name).read_text() for name in ("Makefile", ".ci/run"))
    assert f'-m "{" and ".join(f"not {marker}" for marker in markers)}"' in left_out
    assert f'-m "{" or ".join(markers)}"' in run
