"""The tree that a release is made from: clean, of one version, exported as it was committed.

Knows git and where a version is written. Must not know what is built.
"""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

WRITTEN: Mapping[str, str] = {
    "otp_service/__init__.py": r'^__version__ = "(.+)"$',
    "openapi.yaml": r"^  version: (.+)$",
    "compose.yaml": r"^  image: otp-service:(.+)$",
    "deploy/chart/Chart.yaml": r"^appVersion: (.+)$",
    "CHANGELOG.md": r"^## (\S+)$",
}
"""Where the version stands, and how; the first match counts."""


def version(project: Path) -> str:
    """Return the version of a clean tree. Raises ValueError if it is not clean, or if files disagree."""
    if changed := _git(project, "status", "--porcelain"):
        raise ValueError(f"not committed:\n{changed}")
    found = versions(project)
    if len(set(found.values())) != 1:
        raise ValueError("\n".join(f"{file} says {one}" for file, one in found.items()))
    return found["CHANGELOG.md"]


def versions(project: Path) -> dict[str, str]:
    """Return the version that each file names."""
    found = {}
    for file, pattern in WRITTEN.items():
        named = re.search(pattern, (project / file).read_text(encoding="utf-8"), re.MULTILINE)
        found[file] = named[1] if named else "nothing"
    return found


def export(project: Path, folder: Path) -> int:
    """Write the committed files into a folder; gives the time of the commit in seconds since 1970.

    What is ignored, as keys of a demo are, cannot get into a release.
    """
    run("tar", "-x", folder=folder, stdin=run("git", "archive", "HEAD", folder=project))
    return int(_git(project, "log", "-1", "--format=%ct"))


def changes(project: Path, wanted: str) -> str:
    """Return the part of CHANGELOG.md about a version."""
    text = (project / "CHANGELOG.md").read_text(encoding="utf-8")
    return f"# {wanted}\n" + text.partition(f"\n## {wanted}\n")[2].partition("\n## ")[0].rstrip() + "\n"


def run(*command: str, folder: Path, stdin: bytes = b"") -> bytes:
    """Run a program that must succeed; gives what it prints."""
    return subprocess.run(command, cwd=folder, input=stdin, capture_output=True, check=True).stdout


def _git(project: Path, *words: str) -> str:
    return run("git", *words, folder=project).decode().strip()
