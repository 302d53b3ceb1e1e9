"""What the Dockerfile does beside installing: it can compile Argon2 for one kind of machine."""

import re
import subprocess

from tests.support.documents import PROJECT


def test_the_source_that_is_compiled_is_the_locked_one() -> None:
    """Its command cuts one package with its hashes out of the lock file, and nothing else."""
    text = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    cut = re.search(r"(sed -n '[^']+' requirements\.txt) > argon2\.txt", text)
    assert cut
    ran = subprocess.run(["/bin/sh", "-c", cut[1]], cwd=PROJECT, capture_output=True, text=True, check=True)
    first, *hashes = ran.stdout.splitlines()
    assert re.fullmatch(r"argon2-cffi-bindings==\S+ \\", first)
    assert len(hashes) > 1
    assert all(line.startswith("    --hash=sha256:") for line in hashes)


def test_an_image_runs_on_any_machine_unless_it_is_asked_otherwise() -> None:
    """The argument is empty."""
    assert re.search(
        r"^ARG ARGON2_MARCH=$", (PROJECT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
