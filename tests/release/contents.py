"""Judges what packages contain: what people need, and neither tests nor keys of anybody's demo.

Knows names and shapes of secrets. Must not know how packages are built.
"""

import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

BELONGS = re.compile(
    r"(otp_service|otp_client|[a-z_]+-[0-9.]+\.dist-info)/|otp_service-[0-9.]+/(otp_service/|[A-Z]|pyproject)"
    r"|package/(dist|languages|package\.json|README\.md|LICENSE)|otp-service/"
)
"""Where files of a package lie: a wheel, an sdist, a package of npm, a chart."""
OF_A_TEST = re.compile(
    r"(^|/)(tests?|var|node_modules)/|(^|/)(test_[^/]*\.py|conftest\.py|demo\.json|[^/]*\.env)$"
)
SECRETS = (
    re.compile(rb"\b(?:pk|sk|ops|whs|shop)_[A-Za-z0-9_-]{32}(?![A-Za-z0-9_-])"),
    re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{16}"),
    re.compile(rb"\bOTP_[A-Z_]+=[a-z0-9]+:[A-Za-z0-9+/_-]{40,}"),
)
"""An API key as it is drawn, a private key, a ring of keys as `otp-service secrets` prints it."""


def faults(folder: Path) -> list[str]:
    """List what no package may contain."""
    return [
        f"{package.name}: {fault}"
        for package in sorted(folder.iterdir())
        for name, content in _members(package)
        for fault in _of_a_file(name, content)
    ]


def _of_a_file(name: str, content: bytes) -> Iterator[str]:
    if not BELONGS.match(name) or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        yield f"{name} does not belong there"
    if OF_A_TEST.search(name):
        yield f"{name} is for tests or of a demo"
    for secret in SECRETS:
        if found := secret.search(content):
            yield f"{name} contains what looks like a secret, at byte {found.start()}"


def _members(package: Path) -> Iterator[tuple[str, bytes]]:
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            for name in wheel.namelist():
                yield name, wheel.read(name)
    elif package.suffix in {".gz", ".tgz"}:
        with tarfile.open(package) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                if file:
                    yield member.name, file.read()
