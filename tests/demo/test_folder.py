"""The folder of a demo: one demo at a time, keys that stay, and a terminal that stays readable."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from otp_service.demo.documents import folders
from otp_service.demo.keys import DemoKeys
from otp_service.errors import ConfigurationError
from tests.support.demo_process import Demo, StartDemo
from tests.support.numbers import DELIVERED
from tests.support.patience import PATIENCE
from tests.support.ports import free_port

pytest_plugins = ("tests.support.demo_fixtures",)


def test_keys_stay_the_same_in_one_folder(tmp_path: Path) -> None:
    """What a person put into a page or a shell works after the next start, too."""
    file = tmp_path / "keys.json"
    kept = DemoKeys.read_or_draw(file)
    assert DemoKeys.read_or_draw(file) == kept
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert DemoKeys.read_or_draw(tmp_path / "other.json") != kept


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"shop": {}}', '{"publishable_key": "pk_1"}'])
def test_a_file_of_another_form_is_drawn_anew(tmp_path: Path, text: str) -> None:
    """A file that was cut off, or of another version, is no reason not to start."""
    file = tmp_path / "keys.json"
    file.write_text(text)
    kept = DemoKeys.read_or_draw(file)
    assert kept == DemoKeys.read_or_draw(file)
    assert kept.publishable_key.startswith("pk_")


def test_a_folder_has_one_demo(tmp_path: Path) -> None:
    """A second one would clear the first one's store. Afterwards, the folder is free again."""
    with (
        folders(tmp_path),
        pytest.raises(ConfigurationError, match=r"a demo already runs in .*--var DIR"),
        folders(tmp_path),
    ):
        raise AssertionError
    with folders(tmp_path):
        pass


def test_a_second_demo_is_told_where_the_first_is(demo: Demo) -> None:
    """It ends at once with one sentence, and the first one goes on."""
    ports = ("--port", str(free_port()), "--sandbox-port", str(free_port()))
    second = subprocess.run(
        [sys.executable, "-m", "otp_service", "demo", *ports],
        cwd=demo.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert second.returncode == 2
    assert f"a demo already runs in var at {demo.keys['api']}" in second.stderr
    assert demo.call("GET", "/readyz").ok


def test_the_start_of_the_address_leads_to_the_shop(demo: Demo) -> None:
    """Whoever types host and port only gets a page."""
    answer = demo.call_once("GET", "/")
    assert answer.url == f"{demo.keys['api']}/demo/"
    assert answer.ok


def test_the_terminal_shows_the_welcome_alone(start_demo: StartDemo) -> None:
    """Without --verbose, a send and a check leave no line."""
    demo = start_demo(verbose=False)
    id_ = demo.send(DELIVERED)["challenge_id"]
    body = {"challenge_id": id_, "code": demo.code(DELIVERED)}
    assert demo.call("POST", "/otp/verify", body).json()["status"] == "verified"
    said = demo.log.read_text()
    assert "Open it in a browser" in said
    assert [json.loads(line) for line in said.splitlines() if line.startswith("{")] == []
