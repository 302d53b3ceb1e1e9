"""`send`, `verify` and `watch`: a number is tried from a terminal, on a running demo."""

import json
import re

import pytest

from otp_service.cli.main import run
from otp_service.demo.trying import Service
from tests.support.demo_process import Demo
from tests.support.ports import free_port

pytest_plugins = ["tests.support.demo_fixtures"]


def test_a_number_is_tried_from_send_to_verified(demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong code is told with what is left; the token is not printed; the end of the challenge ends `watch`."""
    at, number = ("--demo", str(demo.var)), "+12025550163"
    assert run(["send", number, *at]) == 0
    out = capsys.readouterr().out
    found = re.match(r"challenge (\S+): to (\S+) by (\w+)\n", out)
    assert found
    assert number not in out
    id_, code = found[1], demo.code(number)
    wrong = f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"
    assert run(["verify", *at, "--", id_, wrong]) == 1
    assert "checks left: 4\nLook at the newest message" in capsys.readouterr().err
    assert run(["verify", *at, "--", id_, code]) == 0
    assert capsys.readouterr().out == "verified\n"
    assert run(["watch", *at, "--", id_]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("verified  ")


def test_a_service_is_asked_by_its_address_and_a_key_of_the_environment(
    demo: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is not known is a refusal with what to do."""
    at = ("--api", demo.keys["api"])
    monkeypatch.setenv("OTP_API_KEY", demo.keys["secret_key"])
    assert run(["send", "+12025550164", "--purpose", "payment", "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out)["purpose"] == "payment"
    monkeypatch.setenv("OTP_API_KEY", "sk_unknown")
    assert run(["send", "+12025550164", *at]) == 1
    assert "Set OTP_API_KEY to a key of an app" in capsys.readouterr().err


def test_a_service_that_is_not_there_or_not_named_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the codes of a failure and of a wrong option."""
    monkeypatch.setenv("OTP_API_KEY", "sk_any")
    assert run(["send", "+12025550100", "--api", f"http://127.0.0.1:{free_port()}"]) == 1
    assert "does not answer" in capsys.readouterr().err
    assert run(["watch", "some"]) == 2
    monkeypatch.delenv("OTP_API_KEY")
    assert run(["watch", "some", "--api", "http://127.0.0.1:1"]) == 2
    assert "OTP_API_KEY must hold" in capsys.readouterr().err


def test_a_challenge_is_followed_from_pending_to_its_end(demo: Demo) -> None:
    """The code is checked while somebody watches."""
    service, number = Service(demo.keys["api"], demo.keys["secret_key"]), "+12025550165"
    id_ = service.send({"to": number})["challenge_id"]
    watched = service.follow(id_)
    assert next(watched)["status"] == "pending"
    service.verify(id_, demo.code(number))
    assert [shown["status"] for shown in watched] == ["verified"]
