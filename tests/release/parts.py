"""The list of parts of the service (CycloneDX 1.6): each locked package with its hashes and its licence.

Knows the lock file, the installed packages' own words about their licences, and the packages of a Debian file system.
Gives the same text for the same commit.
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.house.licences import licence_of

SUPPLY = Path("requirements.txt")
LOCKED = re.compile(
    r"^([A-Za-z0-9._-]+)(?:\[[a-z]+\])?==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)", re.MULTILINE
)
INTERPRETER = re.compile(r"(lib)?python3\.\d+-minimal")
"""Debian's packages that have Python's program."""
Part = Mapping[str, Any]


def written(source: Path, version: str, moment: int) -> str:
    """Return the list of what a wheel of this source installs, as JSON."""
    return (
        json.dumps(bill(version, moment, locked((source / SUPPLY).read_text(encoding="utf-8"))), indent=1)
        + "\n"
    )


def bill(version: str, moment: int, parts: Iterator[Part]) -> dict[str, Any]:
    """Return the list as an object."""
    listed = list(parts)
    top = f"pkg:pypi/otp-service@{version}"
    named = json.dumps([top, moment, *listed])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, named)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(moment, UTC).isoformat(),
            "component": {
                "type": "application",
                "bom-ref": top,
                "name": "otp-service",
                "version": version,
                "purl": top,
                "licenses": [{"license": {"id": "MIT"}}],
            },
        },
        "components": listed,
        "dependencies": [{"ref": top, "dependsOn": [one["bom-ref"] for one in listed]}],
    }


def locked(lock: str) -> Iterator[Part]:
    """Yield each package of a lock file, with the hash of every file that may be installed for it."""
    for name, version, hashes in LOCKED.findall(lock):
        purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "purl": purl,
            "licenses": [_choice(licence_of(metadata.metadata(name)))],
            "externalReferences": [
                {
                    "type": "distribution",
                    "url": purl,
                    "hashes": [
                        {"alg": "SHA-256", "content": one}
                        for one in re.findall(r"sha256:([0-9a-f]+)", hashes)
                    ],
                }
            ],
        }


def of_image(root: Path, version: str, moment: int) -> dict[str, Any]:
    """Return the list of what the file system of an image holds: Python's packages, Debian's, and Python itself."""
    installed = metadata.distributions(
        path=[str(one) for one in root.glob("opt/otp/lib/python*/site-packages")]
    )
    python = [_installed(one.metadata) for one in installed if one.name != "otp-service"]
    records = sorted((root / "var/lib/dpkg/status.d").iterdir())
    systems = list(debian("\n\n".join(one.read_text(encoding="utf-8") for one in records)))
    if not any(INTERPRETER.match(str(one["name"])) for one in systems):
        python.append(_interpreter(root))
    return bill(version, moment, iter([*sorted(python, key=lambda one: str(one["name"])), *systems]))


def _interpreter(root: Path) -> Part:
    """Return the Python of an image whose base did not take it from Debian, as the environment names it."""
    about = (root / "opt/otp/pyvenv.cfg").read_text(encoding="utf-8")
    [version] = re.findall(r"^version = (\S+)$", about, re.MULTILINE)
    purl = f"pkg:generic/python@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": "python",
        "version": version,
        "purl": purl,
        "licenses": [_choice("PSF-2.0")],
    }


def _installed(about: metadata.PackageMetadata) -> Part:
    purl = f"pkg:pypi/{about['Name'].lower().replace('_', '-')}@{about['Version']}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": about["Name"],
        "version": about["Version"],
        "purl": purl,
        "licenses": [_choice(licence_of(about))],
    }


def debian(status: str) -> Iterator[Part]:
    """Yield each package that a Debian file system holds, from the text of dpkg's status."""
    for paragraph in re.split(r"\n\n+", status.strip()):
        about = HeaderParser().parsestr(paragraph)
        purl = f"pkg:deb/debian/{about['Package']}@{about['Version'].replace(':', '%3A').replace('+', '%2B')}"
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": about["Package"],
            "version": about["Version"],
            "purl": purl,
        }


def _choice(licence: str) -> dict[str, Any]:
    if " OR " in licence or " AND " in licence:
        return {"expression": licence}
    return {"license": {"id": licence}}
