"""What a package contains is judged by names and by shapes of secrets."""

import zipfile
from pathlib import Path

import pytest

from otp_service.access import api_keys
from tests.release.contents import faults


def wheel(folder: Path, **files: str) -> None:
    """Pack files into a wheel."""
    with zipfile.ZipFile(folder / "otp_service-1.0.0-py3-none-any.whl", "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)


@pytest.mark.parametrize("kind", api_keys.PREFIXES)
def test_a_key_that_was_drawn_is_found(tmp_path: Path, kind: str) -> None:
    """Of each kind, wherever it stands."""
    wheel(tmp_path, **{"otp_service/a.py": f"KEY = '{api_keys.draw(kind)}'\n"})
    [fault] = faults(tmp_path)
    assert fault.endswith("otp_service/a.py contains what looks like a secret, at byte 7")


@pytest.mark.parametrize(
    "name",
    [
        "otp_service/test_a.py",
        "otp_service/tests/a.py",
        "otp_service/conftest.py",
        "otp_service/var/log",
        "otp_service/demo.json",
        "otp_service/secrets.env",
    ],
)
def test_what_is_for_tests_or_of_a_demo_is_found(tmp_path: Path, name: str) -> None:
    """By its name; `otp_service/testing/`, which apps use, is another one."""
    wheel(tmp_path, **{name: "", "otp_service/testing/plugin.py": ""})
    [fault] = faults(tmp_path)
    assert fault.endswith(f"{name} is for tests or of a demo")


@pytest.mark.parametrize("name", ["tests/a.py", "../a.py", "otp_service/../../a.py"])
def test_what_lies_elsewhere_is_found(tmp_path: Path, name: str) -> None:
    """It would be installed beside the package, or outside."""
    wheel(tmp_path, **{name: ""})
    assert any(fault.endswith("does not belong there") for fault in faults(tmp_path))


def test_private_keys_and_rings_are_found(tmp_path: Path) -> None:
    """As PEM and as a setting."""
    wheel(
        tmp_path,
        **{
            "otp_service/a.pem": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAA",
            "otp_service/b.txt": "OTP_PEPPERS=a1:" + "x" * 43,
        },
    )
    assert len(faults(tmp_path)) == 2
