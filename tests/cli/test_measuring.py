"""The commands that measure this machine: `bench-hash` and `size`."""

import json
import tarfile
from importlib import metadata
from pathlib import Path

import pytest

from otp_service.cli import main as cli
from otp_service.ops.hash_speed import FLAGS, PACKAGE, installed_version
from otp_service.settings import PROFILES

BRIEFLY = ("--milliseconds", "10")
BINDINGS = Path(str(metadata.distribution(PACKAGE).locate_file("_argon2_cffi_bindings")))
METADATA = f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {installed_version()}\n"
BACKEND = f"""
import os, pathlib, zipfile
BINDINGS = pathlib.Path({str(BINDINGS)!r})
INFO = "argon2_cffi_bindings-{installed_version()}.dist-info"

def build_wheel(folder, config_settings=None, metadata_directory=None):
    assert os.environ["CFLAGS"] == {FLAGS!r}
    name = "argon2_cffi_bindings-{installed_version()}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        for file in BINDINGS.iterdir():
            if file.is_file():
                wheel.write(file, f"_argon2_cffi_bindings/{{file.name}}")
        wheel.writestr(INFO + "/METADATA", {METADATA!r})
        wheel.writestr(INFO + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: py3-none-any\\n")
        wheel.writestr(INFO + "/RECORD", "")
    return name
"""
"""Builds the library that is installed already: what a compiler makes of the real source needs an index."""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only index that pip knows: a folder with the source of the library."""
    name = f"argon2_cffi_bindings-{installed_version()}"
    source = tmp_path / name
    source.mkdir()
    (source / "backend.py").write_text(BACKEND)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "PKG-INFO").write_text(METADATA)
    folder = tmp_path / "index"
    folder.mkdir()
    with tarfile.open(folder / f"{name}.tar.gz", "w:gz") as archive:
        archive.add(source, name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_every_profile_is_measured_without_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """A machine is chosen before anything is set up."""
    assert cli.run(["bench-hash", *BRIEFLY]) == 0
    said = capsys.readouterr().out
    for name in PROFILES:
        assert f"\n  {name} " in said
    assert "a build for" in said.lower() or "compiled on a machine of yours" in said


@pytest.mark.parametrize(
    ("rate", "said"), [("1", "owasp fits this machine."), ("10000000", "No profile fits")]
)
def test_the_profile_that_fits_a_rate_is_named(
    capsys: pytest.CaptureFixture[str], rate: str, said: str
) -> None:
    """The strongest that does."""
    assert cli.run(["bench-hash", *BRIEFLY, "--sends-per-minute", rate]) == 0
    assert said in capsys.readouterr().out


def test_a_build_for_this_machine_is_measured_beside_the_installed_one(
    index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is built in a folder of its own, with this machine's flags, and the gain is told for each profile."""
    assert index.exists()
    assert cli.run(["bench-hash", *BRIEFLY, "--build", "--sends-per-minute", "1"]) == 0
    said = capsys.readouterr().out
    assert "Argon2 built for this machine (-O3 -march=native)" in said
    assert "faster by these factors: owasp " in said
    assert said.count("owasp fits this machine.") == 2


def test_what_a_build_lacks_is_told(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The installed one is measured all the same; the exit code says that something is missing."""
    for file in index.iterdir():
        file.unlink()
    assert cli.run(["bench-hash", *BRIEFLY, "--build"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("Argon2 as installed")
    assert "needs pip, a C compiler and the package index" in told.err


def test_figures_are_printed_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing else stands beside them."""
    assert cli.run(["bench-hash", *BRIEFLY, "--json"]) == 0
    assert tuple(json.loads(capsys.readouterr().out)) == PROFILES


def test_a_rate_is_told_in_cores(capsys: pytest.CaptureFixture[str]) -> None:
    """For each profile, by the kind of process."""
    assert cli.run(["size", *BRIEFLY, "--sends-per-minute", "10000"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("10000 messages a minute")
    for name in PROFILES:
        (line,) = (line for line in said.splitlines() if line.startswith(f"  {name} "))
        assert line.count("core") == 3
    assert "this is 7% of it" in said


@pytest.mark.parametrize(
    ("rate", "said"),
    [("120000", "It needs a node of its own."), ("10000000", "No cluster can carry this")],
)
def test_where_the_guards_node_ends_is_told(capsys: pytest.CaptureFixture[str], rate: str, said: str) -> None:
    """More machines do not move it."""
    assert cli.run(["size", *BRIEFLY, "--sends-per-minute", rate]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("size",),
        ("size", "--sends-per-minute", "0"),
        ("size", "--sends-per-minute", "1", "--milliseconds", "0"),
        ("bench-hash", "1"),
        ("bench-hash", "--milliseconds", "10.5"),
        ("bench-hash", "--milliseconds", "60001"),
    ],
)
def test_a_wrong_figure_is_refused(arguments: tuple[str, ...]) -> None:
    """With the code of a wrong option."""
    assert cli.run(list(arguments)) == 2
