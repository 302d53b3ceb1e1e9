"""The distribution: small, typed, with `requests` as its only need, and its README runs."""

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from flit_core import buildapi

import otp_client
from tests.support.demo_process import Demo
from tests.support.documents import PROJECT, blocks

pytest_plugins = ("tests.support.demo_fixtures",)
FOLDER = PROJECT / "clients" / "python"
MODULES = sorted((FOLDER / "otp_client").glob("*.py"))
NEEDED = {"requests", "urllib3"}
"""What the client imports of others; urllib3 comes with requests."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as pip does."""
    folder = tmp_path_factory.mktemp("wheel")
    before = Path.cwd()
    os.chdir(FOLDER)
    try:
        return folder / str(buildapi.build_wheel(str(folder)))
    finally:
        os.chdir(before)


def test_the_wheel_is_typed_and_needs_requests_only(wheel: Path) -> None:
    """PyJWT is an extra; nothing of the service is in it."""
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        [about] = [name for name in names if name.endswith("/METADATA")]
        metadata = file.read(about).decode()
    assert "otp_client/py.typed" in names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"otp_client"}
    assert re.findall("^Requires-Dist: (.+)$", metadata, re.MULTILINE) == [
        "requests>=2.32,<3",
        'pyjwt[crypto]>=2.13,<3 ; extra == "offline"',
    ]
    assert f"Version: {otp_client.__version__}" in metadata.splitlines()


ALONE = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"jwt", "cryptography", "otp_service", "flask", "marshmallow"}:
            raise ImportError(name)

sys.meta_path.insert(0, Refusing())
sys.path.insert(0, sys.argv[1])
import otp_client
assert otp_client.__file__.startswith(sys.argv[1])
try:
    otp_client.OtpClient("http://127.0.0.1:9", "sk_x").check_token("a.b.c", app="web")
except RuntimeError as error:
    print(error)
"""


def test_the_wheel_works_without_its_extra(wheel: Path) -> None:
    """What needs the extra says how to install it."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(wheel)], capture_output=True, text=True, check=True
    )
    assert "pip install 'pyjwt[crypto]>=2.13,<3'" in done.stdout


def test_the_client_imports_little() -> None:
    """The standard library, requests and itself; PyJWT where tokens are checked; never the service."""
    for file in MODULES:
        names = {
            name.partition(".")[0]
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        allowed = NEEDED | {"otp_client"} | ({"jwt"} if file.name == "tokens.py" else set())
        assert names - sys.stdlib_module_names <= allowed, file.name


def test_the_readme_of_the_client_runs(demo: Demo) -> None:
    """Each block as a file of its own; the code that arrives is typed, after a wrong one."""
    first, lost = blocks((FOLDER / "README.md").read_text(encoding="utf-8"), "python")
    environment = {**os.environ, "OTP_URL": demo.keys["api"], "OTP_SECRET_KEY": demo.keys["secret_key"]}

    def start(script: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", script]
        return subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    before = len(demo.inbox("+12025550100"))
    reader = start(first)
    code = demo.code("+12025550100", before + 1)
    said, _ = reader.communicate(f"{(int(code) + 1) % 10**6:06d}\n{code}\n")
    assert reader.returncode == 0
    assert "4 tries left." in said
    assert said.endswith("+12025550100 is verified\n")
    repeater = start(lost)
    repeater.communicate()
    assert repeater.returncode == 0
