"""An app's own endpoint that decides about sends: what is asked, and what counts as no answer."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from standardwebhooks.webhooks import Webhook

from otp_service import phone
from otp_service.errors import Busy
from otp_service.events import signing_secrets
from otp_service.guard.decision_hook import APP_SHARE, MOST_BYTES, RETRY_AFTER, Answer, Decisions, Question
from otp_service.guard.rules import GuardedSend
from otp_service.net.public_only import PublicClient
from otp_service.policy.model import DecisionHook
from otp_service.telemetry.metrics import Metrics
from tests.support.fault_server import FaultServer, drip, hang, http_json, reset, say
from tests.support.patience import PATIENCE, until

SECRET = signing_secrets.draw_secret()
ASKED = GuardedSend(
    number=phone.parse("+12025550100"),
    app="web",
    purpose="login",
    channel="sms",
    address="192.0.2.1",
    session="s",
    known="",
)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Serve an endpoint."""
    with FaultServer() as running:
        yield running


@pytest.fixture
def metrics() -> Metrics:
    """Give metrics of one's own."""
    return Metrics()


def decisions(metrics: Metrics, within: float = PATIENCE) -> Decisions:
    """Ask with time to spare, unless the test is about a late answer."""
    client = PublicClient(allow_private=True, most=MOST_BYTES)
    secrets = {"OTP_EVENTS_WEB": signing_secrets.read_secrets(SECRET)}
    return Decisions(secrets, metrics, client=client, within=within)


def question(server: FaultServer, on_failure: str = "allow", setting: str = "OTP_EVENTS_WEB") -> Question:
    """Ask about one send."""
    hook = DecisionHook(url=f"{server.url}decide", secret_env=setting, on_failure=on_failure)  # type: ignore[arg-type]
    return Question(hook, ASKED, "request-7")


def fails(asking: Decisions, asked: Question) -> None:
    """See that there is no answer: the send is let out, or the caller is told when to come again."""
    if asked.hook.on_failure == "allow":
        assert asking.ask(asked) == "allow"
        return
    with pytest.raises(Busy) as caught:
        asking.ask(asked)
    assert caught.value.retry_after == RETRY_AFTER


def counted(metrics: Metrics, answer: str) -> float:
    """Count the questions that ended in an answer."""
    labels = {"app": "web", "answer": answer}
    return metrics.registry.get_sample_value("otp_decision_seconds_count", labels) or 0


@pytest.mark.parametrize("level", ["allow", "human_check", "cheap", "refuse"])
def test_the_endpoint_decides(server: FaultServer, metrics: Metrics, level: str) -> None:
    """It is told what it needs, in a request that it can tell from a forged one."""
    server.respond(lambda _: http_json({"decision": level, "why": "a field that is not ours"}))
    assert decisions(metrics).ask(question(server, "refuse")) == level
    [request] = server.received
    headers = {name.lower(): value for name, value in request.headers.items()}
    asked = Webhook(SECRET).verify(request.body, headers)
    assert (asked["type"], asked["data"]) == (
        "decision.requested",
        {
            "app": "web",
            "to": "+12025550100",
            "country": "US",
            "number_type": "fixed_line_or_mobile",
            "purpose": "login",
            "channel": "sms",
            "known": "stranger",
            "address": "192.0.2.1",
            "session": "s",
            "request_id": "request-7",
        },
    )
    assert counted(metrics, level) == 1


NO_ANSWERS = {
    "another word": http_json({"decision": "maybe"}),
    "no word": http_json({"decision": ["allow"]}),
    "no field": http_json({"verdict": "allow"}),
    "a list": http_json(["allow"]),
    "no JSON": http_json({}).replace(b"{}", b"no"),
    "nested deeply": http_json({}).replace(b"{}", b"[" * 500).replace(b"Length: 2", b"Length: 500"),
    "too long": http_json({"decision": "allow", "why": "x" * MOST_BYTES}),
    "no content": http_json({"decision": "allow"}, "204 No Content"),
    "an error": http_json({"decision": "allow"}, "500 Internal Server Error"),
    "a redirect": http_json({"decision": "allow"}, "302 Found", ["Location: /allow"]),
}


@pytest.mark.parametrize("on_failure", ["allow", "refuse"])
@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_what_is_no_answer_is_a_failure(
    server: FaultServer, metrics: Metrics, answer: bytes, on_failure: str
) -> None:
    """The policy says what a failure means. It is asked once."""
    server.respond(lambda _: answer)
    fails(decisions(metrics), question(server, on_failure))
    assert len(server.received) == 1
    assert counted(metrics, "failed") == 1


def test_who_asks_learns_what_follows_and_why(server: FaultServer, metrics: Metrics) -> None:
    """The endpoint's own answer, or the policy's with the reason, before an error is raised."""
    recorded: list[Answer] = []
    asking, asked = decisions(metrics), replace(question(server, "refuse"), record=recorded.append)
    for answer in ("cheap", "maybe"):
        server.respond(lambda _: http_json({"decision": answer}))  # noqa: B023 - it is asked in this turn
        with suppress(Busy):
            asking.ask(asked)
    assert [(one.level, one.failure) for one in recorded] == [("cheap", ""), ("refuse", "unknown_answer")]
    assert all(one.seconds > 0 for one in recorded)


@pytest.mark.parametrize("on_failure", ["allow", "refuse"])
@pytest.mark.parametrize("action", [hang, reset, drip(http_json({"decision": "allow"}), gap=0.2)])
def test_an_answer_that_does_not_come_in_time_is_a_failure(
    server: FaultServer, metrics: Metrics, action: object, on_failure: str
) -> None:
    """Silence, a broken connection, a few bytes a second."""
    server.play(action)  # type: ignore[arg-type]
    fails(decisions(metrics, within=0.3), question(server, on_failure))


def test_without_a_secret_nothing_is_asked(server: FaultServer, metrics: Metrics) -> None:
    """Nobody could tell the question from a forged one."""
    fails(decisions(metrics), question(server, "refuse", "OTP_EVENTS_OTHER"))
    assert server.received == []


def test_an_app_has_its_share_of_the_questions(server: FaultServer, metrics: Metrics) -> None:
    """Those beyond it fail at once, so that a slow endpoint holds no more threads."""
    gate, asking = threading.Event(), decisions(metrics)

    def answer(_: object) -> bytes:
        gate.wait(PATIENCE)
        return http_json({"decision": "refuse"})

    server.respond(answer)
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(asking.ask(question(server)))) for _ in range(APP_SHARE)
    ]
    for thread in threads:
        thread.start()
    until(lambda: len(server.received) == APP_SHARE)
    assert asking.ask(question(server, "allow")) == "allow"
    gate.set()
    for thread in threads:
        thread.join()
    assert found == ["refuse"] * APP_SHARE


def test_a_late_question_keeps_its_share_until_its_thread_is_free(
    server: FaultServer, metrics: Metrics
) -> None:
    """An endpoint whose name cannot be looked up takes no more threads than its app may have."""
    gate, asking = threading.Event(), decisions(metrics, within=0.3)
    slow = replace(asking._client, resolve=lambda *_: [(gate.wait(PATIENCE) and "127.0.0.1") or ""])  # noqa: SLF001
    asking._client = slow  # noqa: SLF001 - its own constructor takes a client, too
    for _ in range(APP_SHARE + 2):
        fails(asking, question(server))
    assert asking._pool._work_queue.qsize() == 0  # noqa: SLF001 - nobody waits for a thread
    assert len(asking._pool._threads) <= APP_SHARE  # noqa: SLF001
    server.respond(lambda _: http_json({"decision": "refuse"}))
    gate.set()
    until(lambda: asking.ask(question(server)) == "refuse")
    asking._pool.shutdown()  # noqa: SLF001 - the late ones may still be on their way to the server


def test_an_answer_is_read_whole_however_it_comes(server: FaultServer, metrics: Metrics) -> None:
    """In two pieces, too."""
    whole = http_json({"decision": "cheap"})
    server.play(say(whole[:-4]), say(whole[-4:]))
    assert decisions(metrics).ask(question(server)) == "cheap"


def test_the_question_is_small(server: FaultServer, metrics: Metrics) -> None:
    """And says nothing more than its fields."""
    server.respond(lambda _: http_json({"decision": "allow"}))
    decisions(metrics).ask(question(server))
    assert set(json.loads(server.received[0].body)) == {"type", "timestamp", "data"}
