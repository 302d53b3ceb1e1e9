"""Packages of npm, installed from a lock file into a folder of a test's own: by default the tools of tests/contract.

Knows npm. Must not know what the tools are held against.
"""

import os
import shutil
import subprocess
from pathlib import Path

CONTRACT = Path(__file__).parents[1] / "contract"
CLIENT = Path(__file__).parents[2] / "clients" / "js"


class Tools:
    """Programs of npm packages, and a folder in which they find what they need."""

    def __init__(self, folder: Path, source: Path = CONTRACT) -> None:
        """Install all packages as the lock file of `source` says, running none of their scripts."""
        self.folder = folder
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(source / name, folder)
        installed = self._run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        assert installed.returncode == 0, installed.stderr

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program of a package in the folder, and return what became of it."""
        return self._run(f"{self.folder}/node_modules/.bin/{command[0]}", *command[1:], **environment)

    def node(self, file: str, **environment: str) -> str:
        """Run a script of the folder and return what it prints."""
        done = self._run("node", file, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**_environment(), **environment},
            capture_output=True,
            text=True,
            check=False,
        )


def _environment() -> dict[str, str]:
    # Linters otherwise report their use to their makers.
    return {**os.environ, "REDOCLY_TELEMETRY": "off", "NO_COLOR": "1"}
