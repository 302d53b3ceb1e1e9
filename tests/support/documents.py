"""The commands in README.md and docs/, and a shell that runs them as a reader would."""

import re
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parents[2]
DOCUMENTS = (
    PROJECT / "README.md",
    *sorted((PROJECT / "docs").rglob("*.md")),
    PROJECT / "otp_service" / "guard" / "README.md",
)
PATIENCE = 300.0
"""Seconds after which a session that waits for a message has visibly failed."""


def section(document: str, title: str) -> str:
    """Return the text below a heading of the second level. Raises ValueError if there is none."""
    text = (PROJECT / document).read_text(encoding="utf-8")
    _, found, rest = text.partition(f"\n## {title}\n")
    if not found:
        raise ValueError(f"{document} has no section {title!r}")
    return rest.partition("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    """List the fenced blocks of a language, without the indentation of a list that they stand in."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def session(document: str, title: str) -> list[str]:
    """List what a reader of this section types, block by block."""
    return blocks(section(document, title), "sh")


def shell(script: str, folder: Path) -> str:
    """Run commands in a folder; gives what they print."""
    done = subprocess.run(
        ["/bin/bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_of_events(folder: Path) -> dict[str, str]:
    """Give the settings with which docs/integrate.md starts a demo that sends events."""
    start = session("docs/integrate.md", "Receive events")[0].replace("make run", "env")
    settings = [line.partition("=") for line in shell(start, folder).splitlines()]
    return {name: value for name, _, value in settings if name.startswith("OTP_")}
