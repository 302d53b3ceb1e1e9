"""`send`, `verify` and `watch`: a number is tried from a terminal, on a running demo."""

import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from otp_service.cli.main import run
from otp_service.demo.trying import Service
from tests.support.demo_process import Demo
from tests.support.fault_proxy import FaultProxy
from tests.support.fault_server import FaultServer, http, say
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
    assert out.splitlines()[1:] == [
        "Follow what happens to it:",
        f"  otp-service watch --demo {demo.var} -- {id_}",
        f"Read the code at {demo.keys['sandbox']} and check it:",
        f"  otp-service verify --demo {demo.var} -- {id_} CODE",
        "See why it did not come:",
        f"  otp-service challenges --demo {demo.var} show -- {id_}",
        "Nothing is sent to a review number: its code is the one that `otp-service review add` showed.",
    ]
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
    assert run(["send", "+12025550166", *at]) == 0
    out = capsys.readouterr().out
    assert f"  otp-service watch --api {demo.keys['api']} -- " in out
    assert "  otp-service challenges show -- " in out
    monkeypatch.setenv("OTP_API_KEY", "sk_unknown")
    assert run(["send", "+12025550164", *at]) == 1
    err = capsys.readouterr().err
    assert "Set OTP_API_KEY to a key of an app" in err
    assert err.endswith(": otp-service keys list\n")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["12"], []),
        (["+12025550164", "--channel", "mip"], ["policy --demo VAR simulate NUMBER"]),
        (["+12025550164", "--channel", "pigeon"], ["'channel' must be one of sms"]),
    ],
)
def test_a_refusal_says_what_to_do_next_and_nothing_twice(
    demo: Demo, capsys: pytest.CaptureFixture[str], wrong: list[str], said: list[str]
) -> None:
    """The next command names the same demo."""
    assert run(["send", *wrong, "--demo", str(demo.var)]) == 1
    err = capsys.readouterr().err.replace(str(demo.var), "VAR")
    assert len(err.splitlines()) == len(set(err.splitlines()))
    assert all(one in err for one in said)
    assert "idempotency" not in err
    assert not any(line.strip("- ").partition(": ")[2] in line2 for line, line2 in pairs(err.splitlines()))


def pairs(lines: list[str]) -> list[tuple[str, str]]:
    """Pair each rule that is listed with the line above all rules."""
    return [(line, lines[0]) for line in lines[1:] if line.startswith("  - ")]


@pytest.fixture
def proxy(demo: Demo) -> Iterator[FaultProxy]:
    """Stand between the terminal and the API."""
    with FaultProxy(urlsplit(demo.keys["api"]).port or 0) as made:
        yield made


def sent_to(demo: Demo, number: str) -> int:
    """Count the messages to a number, of which one at least has come."""
    demo.code(number)
    return sum(message["to"] == number for message in demo.inbox())


def test_a_lost_answer_is_asked_for_again_and_sends_no_second_code(
    demo: Demo,
    proxy: FaultProxy,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither does it check a code twice: the right one is verified although its answer was lost."""
    number, at = "+12025550167", ("--api", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("OTP_API_KEY", demo.keys["secret_key"])
    proxy.lose_reply(b"POST /otp/send")
    assert run(["send", number, "--json", *at]) == 0
    id_ = json.loads(capsys.readouterr().out)["challenge_id"]
    assert (proxy.lost, sent_to(demo, number)) == (1, 1)
    proxy.lose_reply(b"POST /otp/verify")
    assert run(["verify", *at, "--", id_, demo.code(number)]) == 0
    assert (proxy.lost, capsys.readouterr().out) == (2, "verified\n")


def test_a_send_whose_end_is_not_known_can_be_repeated_without_a_second_code(
    demo: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All answers are lost: the command prints the key with which the same send is repeated."""
    number = "+12025550168"
    monkeypatch.setenv("OTP_API_KEY", demo.keys["secret_key"])
    port = urlsplit(demo.keys["api"]).port or 0
    with FaultProxy(port, loses=lambda command: b"POST /otp/send" in command) as losing:
        assert run(["send", number, "--api", f"http://127.0.0.1:{losing.port}"]) == 1
        assert losing.lost == 3
    told = re.search(
        r"To repeat it without a second code, add --idempotency-key (\S+)", capsys.readouterr().err
    )
    assert told
    assert run(["send", number, "--demo", str(demo.var), "--idempotency-key", told[1]]) == 0
    assert sent_to(demo, number) == 1


def in_pieces(text: str) -> bytes:
    """Write an answer as a proxy does that does not know its length."""
    head = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = [text[at : at + 10] for at in range(0, len(text), 10)]
    return (head + "".join(f"{len(one):x}\r\n{one}\r\n" for one in [*pieces, ""])).encode()


def test_a_proxy_that_gave_up_is_asked_again_and_may_answer_in_pieces(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service behind it may have sent a code, so the same key is used."""
    monkeypatch.setenv("OTP_API_KEY", "sk_any")
    shown = {"challenge_id": "an-id", "to": "+1********00", "channel": "sms"}
    with FaultServer() as proxy:
        gave_up = say(http(b"<h1>504</h1>", "504 Gateway Timeout"))
        proxy.play_each([gave_up], [say(in_pieces(json.dumps(shown)))])
        at = ("--api", f"http://127.0.0.1:{proxy.port}")
        assert run(["send", "+12025550100", "--json", *at]) == 0
        assert json.loads(capsys.readouterr().out) == shown
        proxy.play(gave_up)
        assert run(["send", "+12025550100", *at]) == 1
        keys = [request.headers["idempotency-key"] for request in proxy.received]
    assert keys == [keys[0]] * 2 + [keys[2]] * 3
    err = capsys.readouterr().err
    assert "answers 504, but not as this service does" in err
    assert f"--idempotency-key {keys[2]}" in err


def test_a_service_that_is_not_there_or_not_named_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the codes of a failure and of a wrong option."""
    monkeypatch.setenv("OTP_API_KEY", "sk_any")
    assert run(["send", "+12025550100", "--api", f"http://127.0.0.1:{free_port()}"]) == 1
    err = capsys.readouterr().err
    assert "does not answer" in err
    assert "idempotency" not in err
    assert run(["watch", "some"]) == 2
    monkeypatch.delenv("OTP_API_KEY")
    assert run(["watch", "some", "--api", "http://127.0.0.1:1"]) == 2
    assert "OTP_API_KEY must hold" in capsys.readouterr().err


def test_a_challenge_is_followed_from_pending_to_its_end(demo: Demo) -> None:
    """The code is checked while somebody watches."""
    service, number = Service(demo.keys["api"], demo.keys["secret_key"]), "+12025550165"
    id_ = service.send({"to": number}, "a-key-of-this-test")["challenge_id"]
    watched = service.follow(id_)
    assert next(watched)["status"] == "pending"
    service.verify(id_, demo.code(number), "another-key")
    assert [shown["status"] for shown in watched] == ["verified"]
