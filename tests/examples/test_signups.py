"""The examples, run as their README says, against the running service: a person signs up in each."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest
import requests

from tests.support.demo_process import Demo
from tests.support.documents import PROJECT
from tests.support.node_tools import Tools
from tests.support.numbers import crowd
from tests.support.patience import PATIENCE, until
from tests.support.ports import HOST, free_port

pytest_plugins = ("tests.support.demo_fixtures",)
EXAMPLES = PROJECT / "examples"
NUMBERS = islice(crowd(), 1_000, None)


@contextmanager
def running(demo: Demo, command: Sequence[str], folder: Path, port: int) -> Iterator[str]:
    """Run a web application as a child, with the demo's address and secret key as its settings."""
    settings = {
        "OTP_URL": demo.keys["api"],
        "OTP_SECRET_KEY": demo.keys["secret_key"],
        "SESSION_SECRET": secrets.token_hex(32),
        "PORT": str(port),
    }
    with (demo.folder / f"log-{port}").open("wb") as log:
        child = subprocess.Popen(command, cwd=folder, env={**os.environ, **settings}, stdout=log, stderr=log)
    url = f"http://{HOST}:{port}"
    try:
        until(lambda: answers(url, child), pause=0.05)
        yield url
    finally:
        child.terminate()
        child.wait(PATIENCE)


def answers(url: str, child: "subprocess.Popen[bytes]") -> bool:
    """Say whether an application answers; an error if it has ended."""
    assert child.poll() is None, "the example has ended"
    try:
        return requests.get(url, timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def flask_url(demo: Demo) -> Iterator[str]:
    """Run the example for Flask."""
    port = free_port()
    app = str(EXAMPLES / "flask_signup" / "app.py")
    command = [sys.executable, "-m", "flask", "--app", app, "run", "--port", str(port)]
    with running(demo, command, demo.folder, port) as url:
        yield url


@pytest.fixture(scope="module")
def express_url(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Install the example for Express from its lock file, and run it."""
    folder = tmp_path_factory.mktemp("express")
    shutil.copy(EXAMPLES / "express-signup" / "app.mjs", folder)
    Tools(folder, EXAMPLES / "express-signup")
    port = free_port()
    with running(demo, ["node", "app.mjs"], folder, port) as url:
        yield url


class Person:
    """A browser, and the phone beside it."""

    def __init__(self, demo: Demo, url: str) -> None:
        self._demo = demo
        self._url = url
        self.number = next(NUMBERS)
        self.browser = requests.Session()

    def open(self, path: str = "/") -> str:
        """Open a page and return what it shows."""
        return self.browser.get(self._url + path, timeout=PATIENCE).text

    def post(self, path: str, **fields: str) -> str:
        """Post a form and return the page that follows."""
        return self.browser.post(self._url + path, data=fields, timeout=PATIENCE).text

    def code(self) -> str:
        """Read the code from the phone."""
        return self._demo.code(self.number)

    def sign_up(self) -> str:
        """Ask for a code and type it."""
        assert "Enter the code" in self.post("/number", number=self.number)
        return self.post("/code", code=self.code())


@pytest.fixture(
    params=["flask_url", pytest.param("express_url", marks=pytest.mark.needs_node)], ids=["flask", "express"]
)
def person(request: pytest.FixtureRequest, demo: Demo) -> Person:
    """A person at each example."""
    return Person(demo, request.getfixturevalue(request.param))


def test_a_person_signs_up_and_leaves(person: Person) -> None:
    """A number, a code, a session of the example's own, and its end."""
    assert "Send a code" in person.open()
    assert person.number.lstrip("+") in person.sign_up()
    assert person.number.lstrip("+") in person.open()
    person.post("/leave")
    assert "Send a code" in person.open()


def test_a_wrong_code_is_told_and_can_be_mended(person: Person) -> None:
    """With the tries that are left, in words for people."""
    person.post("/number", number=person.number)
    code = person.code()
    said = person.post("/code", code=f"{(int(code) + 1) % 10**6:06d}")
    assert "4 tries left" in said
    assert "Welcome" in person.post("/code", code=f"{code[:3]}-{code[3:]}")


@pytest.mark.parametrize(("number", "words"), [("+1 555", "Check the number"), ("", "Check")])
def test_a_bad_number_is_told(person: Person, number: str, words: str) -> None:
    """And no developer's sentence is shown."""
    said = person.post("/number", number=number)
    assert words in said
    assert "E.164" not in said
    assert "POST /otp" not in said


def test_what_is_typed_becomes_no_markup(person: Person) -> None:
    """Whatever a person types."""
    assert "<script>" not in person.post("/number", number="<script>alert(1)</script>")


def test_a_code_without_a_challenge_opens_no_session(person: Person) -> None:
    """Nobody asked for one."""
    assert "Welcome" not in person.post("/code", code="123456")
    assert "Welcome" not in person.open()


def test_the_session_before_is_not_the_session_after(person: Person) -> None:
    """Whoever planted a cookie before has nothing of the session that begins."""
    person.post("/number", number=person.number)
    planted = requests.Session()
    planted.cookies.update(person.browser.cookies)
    assert "Welcome" in person.post("/code", code=person.code())
    thief = Person.__new__(Person)
    thief.__dict__ = {**person.__dict__, "browser": planted}
    assert "Welcome" not in thief.open()


def test_the_lock_file_names_no_registry() -> None:
    """Whoever installs the example for Express asks the registry that is set up there."""
    lock = (EXAMPLES / "express-signup" / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    assert '"integrity": "sha512-' in lock
