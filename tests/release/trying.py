"""Clean trees and releases for tests: how one is committed and made."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.release.tree import run
from tests.support.documents import PROJECT


@dataclass(frozen=True)
class Made:
    """A release, the clean tree that it was made from, and the key that signed it."""

    folder: Path
    tree: Path
    key: Path


def commit(folder: Path) -> None:
    """Commit all files of a folder into a repository of its own."""
    who = ("-c", "user.name=Releaser", "-c", "user.email=releaser@example.com")
    run("git", "init", "--quiet", folder=folder)
    run("git", "add", "--all", folder=folder)
    run("git", *who, "commit", "--quiet", "--message", "Release", folder=folder)


def clean_tree(folder: Path) -> Path:
    """Commit what git would see of this tree into a repository of its own."""
    names = run(
        "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=PROJECT
    ).decode()
    listed = [name for name in names.split("\0") if name and (PROJECT / name).is_file()]
    run("cp", "--parents", "--target-directory", str(folder), *listed, folder=PROJECT)
    commit(folder)
    return folder


def make(tree: Path, key: Path) -> "subprocess.CompletedProcess[str]":
    """Run the command as `make release` does."""
    command = [sys.executable, "-m", "tests.release", "--key", str(key)]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
