"""The fixtures for tests of apps, used as an integrator uses them: by a pytest of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import blocks, section

CONFTEST = 'pytest_plugins = ["otp_service.testing"]\n'
SETTINGS = "[pytest]\notp_origins =\n    http://localhost:5999\n"
APP = """
import pytest
import requests
from otp_client import OtpClient, problems
from otp_service.testing import RunningService

TO = "+12025550101"
OF_FALLBACK = "+12015550100"  # its challenge goes on when its test has ended

@pytest.fixture
def client(otp: RunningService):
    with OtpClient(otp.url, otp.secret_key, timeout=300) as made:
        yield made

def test_a_person_signs_up(otp, client):
    challenge = client.send(TO, purpose="signup")
    code = otp.wait_for_code(TO)
    verified = client.verify(challenge.challenge_id, code)
    assert client.redeem(verified.token, purpose="signup").phone_number == TO

def test_the_inbox_begins_empty(otp):
    assert otp.messages() == []

def test_a_message_falls_back(otp, client):
    otp.force("undelivered", channel="sms")
    client.send(OF_FALLBACK)
    assert otp.wait_for_message(OF_FALLBACK, 2).channel == "whatsapp"
    assert {message.channel for message in otp.messages(OF_FALLBACK)} == {"sms", "whatsapp"}

def test_outcomes_end_with_a_test(otp, client):
    client.send(TO)
    assert otp.wait_for_message(TO).channel == "sms"
    with pytest.raises(TimeoutError, match="1 of 2 messages"):
        otp.wait_for_message(TO, 2, timeout=0.1)
    with pytest.raises(ValueError, match="no such outcome"):
        otp.force("landline", channel="sms")

@pytest.mark.parametrize(("origin", "status"), [("http://localhost:5999", 202), ("http://localhost:5998", 403)])
def test_pages_of_the_named_origins_may_call(otp, origin, status):
    headers = {"Authorization": f"Bearer {otp.publishable_key}", "Origin": origin}
    assert requests.post(f"{otp.url}/otp/send", json={"to": TO}, headers=headers).status_code == status
"""


def pytest_of(folder: Path, tests: str = APP, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the tests of a folder as their owner would."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text(SETTINGS)
    (folder / "test_app.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    without = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        command, cwd=folder, env={**without, **environment}, capture_output=True, text=True, check=False
    )


def test_an_integrators_tests_run_against_the_whole_product(tmp_path: Path) -> None:
    """Each test has an empty inbox and its own outcomes; the service ends with them."""
    done = pytest_of(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
    assert running_in(tmp_path) == []


def test_the_tests_of_the_document_pass(tmp_path: Path) -> None:
    """As a reader would copy them: docs/integrate.md has a conftest.py and tests."""
    conftest, tests = blocks(section("docs/integrate.md", "Test your app"), "python")
    assert conftest == CONFTEST
    done = pytest_of(tmp_path, tests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_service_that_does_not_start_says_why(tmp_path: Path) -> None:
    """The end of its log stands in the error of the test."""
    done = pytest_of(tmp_path, OTP_HASH_PROFILE="nonsense")
    assert done.returncode == 1
    assert "the service did not start" in done.stdout
    assert "OTP_HASH_PROFILE" in done.stdout


def running_in(folder: Path) -> list[str]:
    """List the commands of running processes that name a folder of pytest's."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it has ended
        if f"{folder}/" in command:
            found.append(command)
    return found


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the child put its folders below this test's, so that its processes can be told from others."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
