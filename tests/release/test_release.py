"""A release from end to end: made in one command, complete, signed, the same again, and it runs."""

import hashlib
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import otp_client
from otp_service import __version__
from tests.house import licences
from tests.release import packages, tree
from tests.release.trying import Made, commit, make
from tests.support.demo_process import Demo
from tests.support.documents import blocks, section
from tests.support.helm import EXAMPLES, Helm

pytestmark = [pytest.mark.slow, pytest.mark.needs_node]
pytest_plugins = ("tests.release.fixtures",)
NAMES = [
    "SHA256SUMS",
    "SHA256SUMS.sig",
    f"otp-service-chart-{__version__}.tgz",
    f"otp-service-{__version__}.cdx.json",
    f"otp-service-{__version__}.changes.md",
    f"otp-service-{__version__}.requirements.txt",
    "otp-service-client-1.0.0.tgz",
    f"otp_service-{__version__}-py3-none-any.whl",
    f"otp_service-{__version__}.tar.gz",
    f"otp_service_client-{otp_client.__version__}-py3-none-any.whl",
]


def verified(made: Made, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Check a release as docs/deploy.md tells people to."""
    [script] = blocks(section("docs/deploy.md", "Check a release"), "sh")
    (folder / "releaser.pub").write_text(made.key.with_suffix(".pub").read_text())
    return subprocess.run(
        ["/bin/sh", "-eu", "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )


def copy(made: Made, folder: Path) -> Path:
    """Copy the release, as if it were downloaded."""
    for file in made.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_a_release_is_complete(made: Made) -> None:
    """Packages, list of parts, changes, hashes, signature."""
    assert sorted(file.name for file in made.folder.iterdir()) == sorted(NAMES)


def test_a_release_is_made_once(made: Made) -> None:
    """What was given away is not written over."""
    again = make(made.tree, made.key)
    assert again.returncode == 1
    assert "a release is made once" in again.stderr


def test_a_release_with_a_fault_is_neither_signed_nor_left_behind(made: Made, tmp_path: Path) -> None:
    """Signed, it would be taken for one that may go out; left behind, it would stand in the way of the next."""
    tree.run("git", "clone", "--quiet", str(made.tree), str(tmp_path / "tree"), folder=tmp_path)
    stray = tmp_path / "tree" / "otp_service" / "test_stray.py"
    stray.touch()
    commit(stray.parents[1])
    done = make(stray.parents[1], made.key)
    assert done.returncode == 1
    assert "otp_service/test_stray.py is for tests or of a demo" in done.stderr
    stray.unlink()
    commit(stray.parents[1])
    done = make(stray.parents[1], tmp_path / "no-key")
    assert done.returncode == 1
    assert "ssh-keygen" in done.stderr.splitlines()[0]
    assert list((stray.parents[1] / "dist").iterdir()) == []


def test_a_release_can_be_checked_as_the_document_says(made: Made, tmp_path: Path) -> None:
    """Its signature and each hash."""
    done = verified(made, copy(made, tmp_path))
    assert done.returncode == 0, done.stderr
    assert 'Good "otp-service" signature' in done.stdout


def test_a_changed_file_or_list_is_found(made: Made, tmp_path: Path) -> None:
    """First a package, then the list with the package's new hash."""
    folder = copy(made, tmp_path)
    package = folder / f"otp_service-{__version__}.tar.gz"
    package.write_bytes(package.read_bytes() + b"\0")
    assert verified(made, folder).returncode != 0
    old, new = (
        hashlib.sha256((place / package.name).read_bytes()).hexdigest() for place in (made.folder, folder)
    )
    sums = folder / "SHA256SUMS"
    changed = sums.read_text().replace(old, new)
    assert new in changed
    sums.write_text(changed)
    assert verified(made, folder).returncode != 0


def test_the_same_commit_gives_the_same_packages(made: Made, tmp_path: Path) -> None:
    """So that anybody can make one again and compare."""
    source, folder = tmp_path / "source", tmp_path / "made"
    source.mkdir()
    folder.mkdir()
    packages.build_python(source, folder, tree.export(made.tree, source))
    again = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert len(again) == 3
    assert again == {name: (made.folder / name).read_bytes() for name in again}


def test_the_list_of_parts_is_valid_and_complete(made: Made) -> None:
    """By CycloneDX' own schema; every package of the lock file, with hashes and an allowed licence."""
    text = (made.folder / f"otp-service-{__version__}.cdx.json").read_text(encoding="utf-8")
    judge = importlib.import_module("cyclonedx.validation.json").JsonStrictValidator  # for .ci/run only
    newest = importlib.import_module("cyclonedx.schema").SchemaVersion.V1_6
    assert judge(newest).validate_str(text) is None
    components = json.loads(text)["components"]
    assert [one["name"] for one in components] == licences.packages()
    for one in components:
        [choice] = one["licenses"]
        assert licences.is_allowed(choice.get("expression") or choice["license"]["id"])
        assert one["externalReferences"][0]["hashes"]


def test_helm_reads_the_chart_of_the_release(made: Made, tmp_path: Path) -> None:
    """With an example of its own; the manifests that lie beside it for readers are left out."""
    chart = made.folder / f"otp-service-chart-{__version__}.tgz"
    listed = tree.run("tar", "-tzf", str(chart), folder=tmp_path).decode().splitlines()
    assert "otp-service/values.schema.json" in listed
    assert not [name for name in listed if "/rendered/" in name]
    done = Helm(tmp_path).run("template", str(chart), "--values", str(EXAMPLES[0]))
    assert done.returncode == 0, done.stderr


def test_the_npm_package_holds_what_it_exports(made: Made) -> None:
    """Each file that package.json names is in it."""
    listed = tree.run("tar", "-tzf", str(made.folder / "otp-service-client-1.0.0.tgz"), folder=made.folder)
    about = json.loads((made.tree / "clients" / "js" / "package.json").read_text())
    named = re.findall(r'"\./((?:dist|languages)/[^"*]+)"', json.dumps(about["exports"]))
    assert {f"package/{name}" for name in named} <= set(listed.decode().splitlines())
    assert len(named) >= 4


def test_the_wheel_installs_with_pip_alone_and_its_demo_runs(made: Made, tmp_path: Path) -> None:
    """In a new environment, with the demo's lock file and the wheel's own hash; a code arrives and is verified."""
    wheel = made.folder / f"otp_service-{__version__}-py3-none-any.whl"
    named = f"otp-service[demo] @ {wheel.as_uri()} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
    wanted = tmp_path / "wanted.txt"
    wanted.write_text(named + (made.tree / "requirements-demo.txt").read_text())
    place = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    pip = [
        str(place / "bin" / "pip"),
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
    ]
    done = subprocess.run([*pip, "-r", str(wanted)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    demo = Demo(tmp_path, command=[str(place / "bin" / "otp-service")])
    try:
        opened = demo.send("+12025550100")
        code = demo.code("+12025550100")
        answer = demo.call("POST", "/otp/verify", {"challenge_id": opened["challenge_id"], "code": code})
        assert answer.json()["status"] == "verified"
    finally:
        demo.close()
