"""The image, built without an engine, and processes in it as an engine would start them.

Knows mmdebstrap and buildah. Must not know what the service does. It needs root.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.documents import PROJECT
from tests.support.engine import Container, Mount, Process

PYTHON = ("ca-certificates", "python3", "python3-venv")
"""What the base of the Dockerfile has, beside a bare Debian."""


@dataclass(frozen=True)
class Image:
    """A built image, unpacked: its files, its configuration, its size as engines count it."""

    root: Path
    settings: Mapping[str, Any]
    size: int

    def start(self, *command: str, folder: Path, log: Path, **environment: str) -> Process:
        """Start its entry point with other words than its own; `folder` is read-only at /mnt."""
        made = self.container(
            (*self.settings["Entrypoint"], *command), environment, mounts=[(str(folder), "/mnt", "ro")]
        )
        return made.start(log)

    def container(
        self, command: Sequence[str], environment: Mapping[str, str], *, mounts: Sequence[Mount] = ()
    ) -> Container:
        """Return a container with its user and its environment, a read-only root, a /tmp in memory and no rights."""
        user, _, group = self.settings["User"].partition(":")
        return Container(
            root=str(self.root),
            command=command,
            environment=dict(one.split("=", 1) for one in self.settings["Env"]) | dict(environment),
            folder=self.settings["WorkingDir"],
            user=int(user),
            group=int(group),
            mounts=mounts,
            tmpfs=["/tmp"],  # noqa: S108 - inside of it
        )

    def run(self, *command: str, folder: Path, log: Path, **environment: str) -> str:
        """Run it to its end; gives what it prints."""
        log.unlink(missing_ok=True)
        code = self.start(*command, folder=folder, log=log, **environment).wait()
        said = log.read_text()
        assert code == 0, said
        return said


def build(folder: Path) -> Image:
    """Build the image on a Debian that is made here, from packages that are fetched with their hashes."""
    base, wheels = folder / "base.tar", folder / "wheels"
    included = f"--include={','.join(PYTHON)}"
    _run(
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--dpkgopt=force-unsafe-io",
        included,
        "bookworm",
        str(base),
    )
    locked = ("--require-hashes", "--no-deps", "-r", str(PROJECT / "requirements.txt"))
    _run(sys.executable, "-m", "pip", "download", "--quiet", *locked, "--dest", str(wheels))
    (folder / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    buildah = _Buildah(folder)
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, str(base), "/")
    buildah("commit", "--quiet", "--rm", container, "base")
    mounts = (f"{folder}/pip.conf:/etc/pip.conf:ro", f"{wheels}:/wheels:ro")
    buildah(
        *("bud", "--quiet", "--build-arg", "BASE=localhost/base", "--tag", "otp-service"),
        *(f"--volume={mount}" for mount in mounts),
        str(PROJECT),
    )
    about = json.loads(buildah("inspect", "--type", "image", "otp-service"))
    root = folder / "root"
    _run("cp", "--archive", buildah("mount", buildah("from", "otp-service")), str(root))
    return Image(root, about["OCIv1"]["config"], _bytes(root))


class _Buildah:
    """Buildah, with all that it stores in one folder."""

    def __init__(self, folder: Path) -> None:
        self._words = ("buildah", f"--root={folder}/store", f"--runroot={folder}/run", "--storage-driver=vfs")

    def __call__(self, command: str, *words: str) -> str:
        isolated = ("--isolation=chroot",) if command in {"bud", "from"} else ()
        return _run(*self._words, command, *isolated, *words).strip()


def _bytes(root: Path) -> int:
    return sum(file.lstat().st_size for file in root.rglob("*") if file.is_file() and not file.is_symlink())


def _run(*command: str) -> str:
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True, check=False)
        errors.seek(0)
        assert done.returncode == 0, f"{' '.join(command[:3])}:\n{done.stdout[-3000:]}{errors.read()[-3000:]}"
    return done.stdout
