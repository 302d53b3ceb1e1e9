"""Becomes a container's first process: `tests/support/engine.py` runs it as root, in namespaces of its own.

Gets its orders as JSON in its only argument. Must not import anything that is not in Python itself.
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

NUMBERS = {"CHOWN": 0, "SETGID": 6, "SETUID": 7, "NET_BIND_SERVICE": 10}
"""Capabilities that compose.yaml may name, as the kernel numbers them."""
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 23, 24, 38
MOST = 64


def mount(*words: str) -> None:
    """Run mount. Raises CalledProcessError."""
    subprocess.run(["/bin/mount", *words], check=True)


def lay(root: str, orders: dict[str, Any]) -> None:
    """Mount everything below the root, which is read-only from then on if it has to be."""
    mount("--make-rprivate", "/")
    mount("--bind", root, root)
    mount("-t", "proc", "-o", "nosuid,nodev,noexec", "proc", f"{root}/proc")
    mount("--rbind", "/dev", f"{root}/dev")
    for place in orders["tmpfs"]:
        mount("-t", "tmpfs", "-o", "mode=1777,nosuid,nodev,noexec", "tmpfs", root + place)
    for source, place, mode in orders["mounts"]:
        mount("--bind", source, root + place)
        mount("-o", f"remount,bind,nosuid,{mode}", root + place)
    mount("-o", f"remount,bind,nosuid,{'ro' if orders['read_only'] else 'rw'}", root)


def give_up_rights(orders: dict[str, Any]) -> None:
    """Keep the named capabilities only, become the user, and gain nothing from then on."""
    kernel = ctypes.CDLL(None, use_errno=True)
    kept = {NUMBERS[name] for name in orders["capabilities"]}
    os.setgroups([])
    os.setresgid(*[orders["group"]] * 3)
    for number in range(MOST):
        if number not in kept and kernel.prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            kernel.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    os.setresuid(*[orders["user"]] * 3)
    if orders["no_new_privileges"]:
        kernel.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def program(name: str, path: str) -> str:
    """Return where a program is. Ends this process if it is nowhere."""
    for place in path.split(":"):
        if Path(place, name).exists():
            return f"{place}/{name}"
    sys.exit(f"{name} is not in the image")


if __name__ == "__main__":
    ordered = json.loads(sys.argv[1])
    lay(ordered["root"], ordered)
    os.chroot(ordered["root"])
    os.chdir(ordered["folder"])
    give_up_rights(ordered)
    found = program(ordered["command"][0], ordered["environment"]["PATH"])
    os.execve(found, ordered["command"], ordered["environment"])  # noqa: S606 - it becomes the container's process
