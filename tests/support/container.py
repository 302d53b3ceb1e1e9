"""The image, built without an engine, and processes in it as an engine would start them.

Knows mmdebstrap, buildah and the kernel's namespaces. Must not know what the service does. It needs root.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.documents import PROJECT

PYTHON = ("ca-certificates", "python3", "python3-venv")
"""What the base of the Dockerfile has, beside a bare Debian."""
ENTER = """
set -eu
root=$1 folder=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro,nosuid "$root"
mount -t tmpfs -o mode=1777,nosuid,nodev,size=64m tmp "$root/tmp"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$folder" "$root/mnt"
mount -o remount,bind,ro "$root/mnt"
rights=-all,+setuid,+setgid,+sys_chroot
exec setpriv --no-new-privs --bounding-set "$rights" --inh-caps=-all \\
  chroot --userspec="$USER_OF_IMAGE" "$root" "$@"
"""
"""A root that is read-only, a /tmp in memory, no capability and no way to gain one; and a folder at /mnt."""


@dataclass(frozen=True)
class Image:
    """A built image, unpacked: its files, its configuration, its size as engines count it."""

    root: Path
    settings: Mapping[str, Any]
    size: int

    def start(self, *command: str, folder: Path, log: Path, **environment: str) -> "subprocess.Popen[bytes]":
        """Start its entry point with other words than its own; `folder` is read-only at /mnt."""
        named = dict(one.split("=", 1) for one in self.settings["Env"])
        words = [
            "/usr/bin/unshare",
            "--mount",
            "--pid",
            "--fork",
            "/bin/sh",
            "-c",
            ENTER,
            "enter",
        ]
        with log.open("ab") as output:
            return subprocess.Popen(
                [*words, str(self.root), str(folder), *self._entry(named), *command],
                env={
                    **named,
                    "PATH": os.environ["PATH"],
                    "USER_OF_IMAGE": self.settings["User"],
                    **environment,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, *command: str, folder: Path, log: Path, **environment: str) -> str:
        """Run it to its end; gives what it prints."""
        log.unlink(missing_ok=True)
        code = self.start(*command, folder=folder, log=log, **environment).wait()
        said = log.read_text()
        assert code == 0, said
        return said

    def _entry(self, named: Mapping[str, str]) -> list[str]:
        [program] = self.settings["Entrypoint"]
        [place] = [
            one for one in named["PATH"].split(":") if (self.root / one.lstrip("/") / program).exists()
        ]
        return [f"{place}/{program}"]


def end(process: "subprocess.Popen[bytes]", by: signal.Signals = signal.SIGTERM) -> int:
    """End what was started, as an engine does; gives the exit code. It is alone in its namespace, so all of it ends."""
    if process.poll() is None:
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(pid), by)
    return process.wait()


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
    for place in ("dev", "proc", "mnt"):  # as engines do
        (root / place).mkdir()
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
