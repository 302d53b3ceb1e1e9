"""The list of parts of an image names its Python, whoever built it."""

from pathlib import Path

import pytest

from tests.release.parts import of_image

DEBIAN = "Package: {name}\nVersion: 3.11.2-6+deb12u6\n"


@pytest.mark.parametrize(
    ("packages", "found"),
    [
        (["libc6"], ["pkg:generic/python@3.11.16"]),
        (["libc6", "python3.11-minimal"], ["pkg:deb/debian/python3.11-minimal@3.11.2-6%2Bdeb12u6"]),
    ],
)
def test_python_is_listed_once(tmp_path: Path, packages: list[str], found: list[str]) -> None:
    """As a package of Debian, or by itself if the base was built with one of its own, as the official image is."""
    records = tmp_path / "var/lib/dpkg/status.d"
    records.mkdir(parents=True)
    for name in packages:
        (records / name).write_text(DEBIAN.format(name=name))
    environment = tmp_path / "opt/otp"
    environment.mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text("home = /usr/local/bin\nversion = 3.11.16\n")
    listed = [one["purl"] for one in of_image(tmp_path, "1.0.0", 0)["components"]]
    assert [one for one in listed if "python" in one] == found
