"""Every command in README.md and docs/ runs as it stands there."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.support.demo_process import Demo
from tests.support.documents import DOCUMENTS, PROJECT, blocks, section, session, shell
from tests.support.patience import PATIENCE, until
from tests.support.ports import free_port

pytest_plugins = ("tests.support.demo_fixtures",)

FIRST_CODE = ("README.md", "Send a first code")
FALLBACK = ("docs/integrate.md", "When a code does not arrive")
REPETITION = ("docs/integrate.md", "Repeat a request")
HUMAN_CHECK = ("docs/integrate.md", "Human check")
EVENTS = ("docs/integrate.md", "Receive events")
DECISION = ("docs/integrate.md", "Decide about each send")
RETRIEVER = ("docs/integrate/mobile.md", "Android")
SECRETS = ("docs/operate.md", "Deploy")
CHECK = ("docs/operate.md", "Change the policy")
MAKE = ("README.md", "Start")
RELEASE = ("docs/deploy.md", "Check a release")
"""Run by everyone who runs the tests: `make test` is how they start. RETRIEVER is run by
test_snippets.py, RELEASE by release/test_release.py."""


def version_in_force(said: str) -> int:
    """Return the version that a command of the policy says is in force."""
    return int(re.findall("version ([0-9]+) is in force", said)[0])


def test_every_block_of_commands_is_run_here() -> None:
    """A new block in a document needs a test that runs it."""
    written = sum(len(blocks(file.read_text(encoding="utf-8"), "sh")) for file in DOCUMENTS if file.exists())
    run = (
        *(FIRST_CODE, FALLBACK, REPETITION, HUMAN_CHECK, EVENTS, DECISION),
        *(RETRIEVER, SECRETS, CHECK, MAKE, RELEASE),
    )
    assert written == sum(len(session(*part)) for part in run)


def test_a_first_code_and_its_fallback(demo: Demo) -> None:
    """A redeemed token, then a code by WhatsApp and a simulation, then a check that is repeated."""
    demo.session.delete(f"{demo.keys['sandbox']}/inbox", timeout=PATIENCE).raise_for_status()  # older codes
    parts = [*session(*FIRST_CODE), *session(*FALLBACK), *session(*REPETITION)]
    said = shell("\n".join(parts), demo.folder)
    assert '"status":"verified"' in said
    assert '"phone_number":"+12025550100"' in said
    assert '{"channel":"sms","status":"failed"},{"channel":"whatsapp","status":"delivered"}' in said
    assert '"problem":null' in said
    assert said.splitlines()[-1] == "the same token"


def test_a_policy_is_checked_over_http(demo: Demo) -> None:
    """The demo's own policy has no warnings."""
    said = shell("\n".join([session(*FIRST_CODE)[0], *session(*CHECK)]), demo.folder)
    assert json.loads(said.splitlines()[-1])["warnings"] == []


def test_a_human_check_is_required_after_one_send(demo: Demo) -> None:
    """The page of the demo then shows it; the document's rollback ends it."""
    (apply,) = session(*HUMAN_CHECK)
    (rollback,) = re.findall(r"`(\S+ policy --demo var rollback [^`]+)`", section(*HUMAN_CHECK))
    try:
        demo.wait_for_policy(version_in_force(shell(apply, demo.folder)))
        answers = [demo.call("POST", "/otp/send", {"to": "+12025550102"}) for _ in range(2)]
    finally:
        demo.wait_for_policy(version_in_force(shell(rollback, demo.folder)))
    assert [answer.status_code for answer in answers] == [202, 403]
    assert answers[1].json()["code"] == "human_check_required"


def test_a_refused_send_is_shown(demo: Demo) -> None:
    """A reader sees why there is no challenge, and the session goes no further."""
    first, send, *_ = session(*FIRST_CODE)
    with pytest.raises(AssertionError, match="invalid_number"):
        shell(f"{first}\n{send}".replace("+1 202 555 0100", "+1 555"), demo.folder)


def test_secrets_are_drawn_for_a_deployment(tmp_path: Path) -> None:
    """The file is for its owner only and has every secret setting; the operator's key comes with its hash."""
    command = f'otp-service() {{ "{sys.executable}" -m otp_service "$@"; }}'
    said = shell("\n".join([f"export PYTHONPATH={PROJECT}", command, *session(*SECRETS)]), tmp_path)
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets.env").read_text().count("OTP_") == 6
    assert re.search(r"^key: +ops_", said, re.MULTILINE)
    assert re.search(r"^hash: +[0-9a-f]{64}", said, re.MULTILINE)


def test_events_arrive_at_an_endpoint(demo: Demo) -> None:
    """The session ends with the four events of an SMS that failed."""
    first, (_, endpoint, apply, send) = session(*FIRST_CODE)[0], session(*EVENTS)
    port = str(free_port())  # the document's may be taken here
    applied = shell(f"{first}\n{apply}".replace("8002", port), demo.folder)
    demo.wait_for_policy(version_in_force(applied))
    said = shell(f"{first}\n{endpoint}\n{send}".replace("8002", port), demo.folder)
    events = [json.loads(line) for line in said.splitlines() if line.startswith('{"type"')]
    assert {(event["type"], event["data"]["channel"]) for event in events} == {
        ("challenge.sent", "sms"),
        ("challenge.fell_back", "whatsapp"),
        ("challenge.sent", "whatsapp"),
        ("challenge.delivered", "whatsapp"),
    }
    assert len(events) == 4


def test_an_app_decides_about_a_send(demo: Demo) -> None:
    """The number that its own source names is refused. On a busy machine its answer may come too late."""
    first, (endpoint, apply, send) = session(*FIRST_CODE)[0], session(*DECISION)
    port = str(free_port())
    applied = shell(f"{first}\n{apply}".replace("8003", port), demo.folder)
    demo.wait_for_policy(version_in_force(applied))
    last = iter(range(12, 99))

    def is_refused() -> bool:
        spaced = f"+1 202 555 01{next(last)}"
        script = f"{first}\n{endpoint}\n{send}".replace("8003", port)
        script = script.replace("+12025550112", spaced.replace(" ", "")).replace("+1 202 555 0112", spaced)
        return '"code": "no_route"' in shell(script, demo.folder)

    until(is_refused)
