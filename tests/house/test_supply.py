"""What is said of the packages that we use: their licences and their known vulnerabilities."""

from email.message import Message
from importlib.metadata import PackageMetadata
from typing import Any, cast

import pytest

from tests.house import audit, licences


def about(**headers: str) -> PackageMetadata:
    """Write what a package says of itself."""
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return cast("PackageMetadata", message)


def test_every_licence_of_the_image_is_allowed() -> None:
    """All packages are in the list, and none has a licence that nobody looked at."""
    found = dict(licences.listed())
    assert len(found) == len(licences.packages()) >= 20
    assert {name: one for name, one in found.items() if not licences.is_allowed(one)} == {}


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 OR BSD-3-Clause", True),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-or-later", False),
        ("AGPL-3.0", False),
        ("(MIT)", False),
        ("(none)", False),
        ("Other/Proprietary License", False),
    ],
)
def test_a_licence_is_allowed_by_name(expression: str, *, allowed: bool) -> None:
    """One of several to choose from is enough; of several that all apply, each must be allowed."""
    assert licences.is_allowed(expression) is allowed


def test_a_licence_is_found_wherever_a_package_names_it() -> None:
    """In its expression, its classifiers or its free text, and what is not known stays as it is written."""
    assert licences.licence_of(about(License_Expression="MIT")) == "MIT"
    classifier = "License :: OSI Approved :: Apache Software License"
    assert licences.licence_of(about(Classifier=classifier)) == "Apache-2.0"
    assert licences.licence_of(about(License="GPL")) == "GPL"
    assert licences.licence_of(about()) == "(none)"


def package(name: str, *bugs: str, **more: str) -> dict[str, Any]:
    """Write a package as pip-audit reports it."""
    return {"name": name, "version": "1", "vulns": [{"id": bug} for bug in bugs], **more}


ABSENT = {"name": "b", "skip_reason": "Dependency not found on PyPI and could not be audited: b (1)"}


@pytest.mark.parametrize(
    ("report", "code", "said"),
    [
        ({"dependencies": [package("a"), package("b")]}, 0, "2 packages, no known vulnerability"),
        ({"dependencies": [package("a", "CVE-1"), package("b")]}, 1, "a 1: CVE-1"),
        ({"dependencies": [package("a"), ABSENT]}, 1, "b: could not be audited"),
        ({"dependencies": [ABSENT]}, 0, audit.UNANSWERED),
        ({"dependencies": []}, 0, audit.UNANSWERED),
        (None, 0, audit.UNANSWERED),
    ],
)
def test_an_audit_is_judged(report: dict[str, Any] | None, code: int, said: str) -> None:
    """A database that answers decides, and a part of an answer is none; no answer at all is said aloud."""
    assert audit.judge(report) == (code, said)
