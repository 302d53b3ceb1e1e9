"""The licences of all packages that the image holds, against those that are allowed.

`python -m tests.house.licences` prints the list; it exits with 1 if a licence is not allowed or not known.
"""

import re
import sys
from collections.abc import Iterator
from importlib import metadata

from tests.house.test_sizes import PROJECT

ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",  # certifi: a list of certificates, which we do not change
        "PSF-2.0",
    }
)
"""Licences (SPDX) that ask for nothing but their text. A copyleft licence would bind those who change the service."""
_SPELLINGS = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
"""What packages without an SPDX expression write, in small letters."""


def packages(lock: str = "requirements.txt") -> list[str]:
    """List the packages of a lock file."""
    text = (PROJECT / lock).read_text(encoding="utf-8")
    return re.findall(r"^([A-Za-z0-9._-]+)(?:\[[a-z]+\])?==", text, re.MULTILINE)


def licence_of(about: metadata.PackageMetadata) -> str:
    """Return the licence that a package names, as an SPDX expression if that is known."""
    for expression in about.get_all("License-Expression") or ():
        return str(expression)
    classified = [
        one.rpartition(" :: ")[2] for one in about.get_all("Classifier") or [] if one.startswith("License ::")
    ]
    named = [*classified, *(one.partition("\n")[0] for one in about.get_all("License") or [])]
    return next((_SPELLINGS.get(one.lower(), one) for one in named if one), "(none)")


def is_allowed(expression: str) -> bool:
    """Tell whether an SPDX expression can be met with allowed licences: all of an AND, one of an OR."""
    if "(" in expression or " WITH " in expression:
        return False
    return any(
        all(part.strip() in ALLOWED for part in choice.split(" AND ")) for choice in expression.split(" OR ")
    )


def listed() -> Iterator[tuple[str, str]]:
    """Yield each package of the image with its version, and its licence."""
    for name in packages():
        about = metadata.metadata(name)
        yield f"{name} {about['Version']}", licence_of(about)


def main() -> int:
    """Print the list; gives the exit code."""
    found = list(listed())
    for package, licence in found:
        sys.stdout.write(f"{package:<32} {licence}{'' if is_allowed(licence) else '   NOT ALLOWED'}\n")
    return int(not all(is_allowed(licence) for _, licence in found))


if __name__ == "__main__":
    sys.exit(main())
