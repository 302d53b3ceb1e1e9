"""Logs and metrics: one event a line, nothing secret in it, and figures that add up over processes."""

import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otp_service.telemetry import logs
from otp_service.telemetry.metrics import Metrics
from tests.conftest import OPS
from tests.support.http_api import NUMBER, Api, call_failing, wrong

pytest_plugins = ["tests.support.http_fixtures"]


class Log:
    """The logged lines."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def events(self) -> list[dict[str, Any]]:
        """Read every line as one event."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def last(self) -> dict[str, Any]:
        """Read the newest event."""
        return self.events()[-1]


@pytest.fixture
def log() -> Iterator[Log]:
    """Log into memory as a process of the service does."""
    root = logging.getLogger()
    before = root.handlers, root.level, logs.LOG.level
    found = Log()
    logs.start_logging("api", "info", found.stream)
    yield found
    root.handlers = before[0]
    root.setLevel(before[1])
    logs.LOG.setLevel(before[2])


# One event, one line.

NASTY = 'a\r\nb\n{"event": "forged"}\x00\x1b[31m\u2028\u2029\x85'


def test_an_event_is_one_line_of_json(log: Log) -> None:
    """Time in UTC, level, process, event and the fields that were given."""
    logs.log("challenge.opened", app="web", sends=3, share=0.5, missing=None, yes=True)
    event = log.last()
    assert abs(datetime.fromisoformat(event.pop("at")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert event == {
        "level": "info",
        "process": "api",
        "pid": os.getpid(),
        "event": "challenge.opened",
        "app": "web",
        "sends": 3,
        "share": 0.5,
        "missing": None,
        "yes": True,
    }


def test_times_are_of_one_form(log: Log) -> None:
    """Milliseconds and a Z, so that lines sort by their text."""
    logs.log("x")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", log.last()["at"])


def test_nobody_can_write_a_line_into_the_log(log: Log) -> None:
    """CR, LF, other line ends and escapes in a message or field stay inside their event."""
    logs.log(NASTY, text=NASTY, other=[NASTY])
    logs.warn(NASTY)
    logging.getLogger("library").warning("%s", NASTY)
    lines = log.stream.getvalue()
    assert lines.count("\n") == 3
    assert lines.isascii()
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", lines)
    assert [event["level"] for event in log.events()] == ["info", "warning", "warning"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(), st.dictionaries(st.sampled_from(["a", "b"]), st.text() | st.lists(st.text())))
def test_any_text_gives_one_line(log: Log, name: str, fields: dict[str, object]) -> None:
    """Whatever is logged, one call is one line."""
    before = log.stream.getvalue().count("\n")
    logs.LOG.info("%s", name, extra={"fields": fields})
    assert log.stream.getvalue().count("\n") == before + 1
    log.last()


def test_the_level_keeps_quieter_events_out(log: Log) -> None:
    """Our records from the configured level, libraries' only from warnings up."""
    logs.log("debug", logging.DEBUG)
    logging.getLogger("urllib3").info("connecting")
    assert log.events() == []
    logs.log("error", logging.ERROR)
    assert log.last()["level"] == "error"


# Nothing secret.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key pk_0123456789abcdef here", "key [secret] here"),
        ("sk_AbCdEfGh-_", "[secret]"),
        ("ops_abcdefgh", "[secret]"),
        ("with whsec_ab+cd/efGH== signed", "with [secret] signed"),
        ("Authorization: Bearer abc.def", "Authorization: [secret]"),
        ("BEARER\tabc", "[secret]"),
        ("eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln-_", "[secret]"),
        ("/sms/send?access_token=38e896f5&to=1", "/sms/send?[secret]&to=1"),
        ("to +12025550100 now", "to [digits] now"),
        ("+1 (202) 555-0100", "[digits]"),
        ("1.2.0.2.5.5", "[digits]"),
        ("your code is 042137.", "your code is [digits]."),
        ("\u0967\u0968\u0969\u096a\u096b\u096c", "[digits]"),
        ("http://127.0.0.1:5055", "http://127.0.0.1:5055"),
        ("9127.0.0.1", "[digits]"),
        ("127.0.0.12", "[digits]"),
        ("127.0.0.1.5", "[digits]"),
        ("port 65535, 12345 ms", "port 65535, 12345 ms"),
        ("task_completed spk_abcdefgh", "task_completed spk_abcdefgh"),
        ("challenge.opened", "challenge.opened"),
    ],
)
def test_keys_tokens_and_long_digits_are_blackened(text: str, shown: str) -> None:
    """Anything that looks like a key, a token, a number or a code is replaced; the rest stays readable."""
    assert logs.redact(text) == shown


@settings(deadline=None)
@given(
    st.from_regex(r"(pk|sk|ops)_[A-Za-z0-9_-]{16,32}", fullmatch=True)
    | st.from_regex(r"\+?[1-9][0-9]{5,14}", fullmatch=True),
    st.text(st.sampled_from(" .,:;/=\"'()[]{}\n"), max_size=3),
    st.text(st.sampled_from(" .,:;/=\"'()[]{}\n"), max_size=3),
)
def test_no_key_and_no_number_survives(secret: str, before: str, after: str) -> None:
    """Whatever stands around it."""
    assert secret not in logs.redact(f"{before}{secret}{after}")


def test_fields_are_redacted_whatever_they_are(log: Log) -> None:
    """Texts, lists and errors as values; only ids that we draw ourselves are left as they are."""
    error = ValueError("sk_0123456789abcdef")
    logs.log(NUMBER, text=NUMBER, rows=[NUMBER], error_is=error, raw=NUMBER.encode(), request_id="1234567")
    assert NUMBER[1:] not in log.stream.getvalue()
    assert "sk_" not in log.stream.getvalue()
    assert log.last()["request_id"] == "1234567"


def test_an_errors_own_text_is_not_logged(log: Log) -> None:
    """The class and the stack are logged; the text may contain what was sent to us."""

    def fail() -> None:
        raise RuntimeError("outer canary-text") from KeyError("inner canary-text")

    with pytest.raises(RuntimeError) as caught:
        fail()
    logs.LOG.error("request.failed", exc_info=caught.value, extra={"fields": {"request_id": "r"}})
    event = log.last()
    assert "canary" not in log.stream.getvalue()
    assert event["error"] == "RuntimeError"
    assert re.fullmatch(r"test_telemetry\.py:\d+ fail", event["where"][-1])


def test_a_whole_way_leaves_no_secret_in_the_log(live: Api, log: Log) -> None:
    """A send, a wrong guess, a win, an error: no code, number, key, token or challenge id gets in."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, wrong(code))
    won = live.verify(challenge_id, code).json or {}
    live.status(challenge_id)
    live.redeem(won["token"])
    live.call("POST", "/otp/send", body={"to": NUMBER, "sk_canary_canary": NUMBER})
    live.call("GET", f"/otp/{NUMBER}")
    live.call("BREWCOFFEE", "/otp/send")
    text = log.stream.getvalue()
    for secret in (code, NUMBER[1:], "sk_canary", challenge_id, won["token"], "BREWCOFFEE"):
        assert secret not in text
    names = [event["event"] for event in log.events()]
    for name in (
        "challenge.opened",
        "delivery.ended",
        "challenge.checked",
        "token.redeemed",
        "http.answered",
    ):
        assert name in names
    sent = live.answers[0].headers["X-Request-Id"]
    of_send = {event["event"] for event in log.events() if event.get("request_id") == sent}
    assert of_send == {"challenge.opened", "http.answered", "delivery.ended"}
    answered = [event for event in log.events() if event["event"] == "http.answered"]
    assert {event["route"] for event in answered} >= {"/otp/send", "/otp/<challenge_id>", "/otp/verify"}
    assert all(event["app"] in {"web", None} for event in answered)


def test_an_unexpected_error_is_logged_with_the_id_that_was_told(api: Api, log: Log) -> None:
    """A request is found by its id; probes and scrapes are not logged."""
    for probe in ("/healthz", "/metrics", "/readyz"):
        api.call("GET", probe, key=OPS)
    assert log.events() == []
    answer = call_failing(api, "canary-text")
    (event,) = log.events()
    assert (event["event"], event["error"], event["level"]) == ("request.failed", "RuntimeError", "error")
    assert event["request_id"] == answer.headers["X-Request-Id"]
    assert "canary" not in log.stream.getvalue()


# Metrics.

TWO = """
import sys
from otp_service.telemetry.metrics import Metrics
metrics = Metrics()
metrics.challenges.labels("web", "opened").inc(float(sys.argv[1]))
metrics.hash_seconds.observe(0.02)
metrics.hash_waiting.set(float(sys.argv[1]))
if len(sys.argv) > 2:
    sys.stdout.buffer.write(metrics.page(shared=sys.argv[2] == "shared"))
"""


def test_metrics_of_two_processes_are_summed(tmp_path: Path) -> None:
    """With a shared folder the page of any process shows all of them; without, its own."""

    def process(*arguments: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", TWO, *arguments],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    process("2")
    page = process("3", "shared")
    assert 'otp_challenges_total{app="web",result="opened"} 5.0' in page
    assert "otp_hash_seconds_count 2.0" in page
    assert 'otp_hash_seconds_bucket{le="0.025"} 2.0' in page


def test_a_page_of_one_process_is_its_own() -> None:
    """Each core counts for itself, so that two in one process never mix."""
    first, second = Metrics(), Metrics()
    first.checks.labels("web", "verified").inc()
    first.observe_store("open", 0.001)
    page = first.page(shared=False).decode().splitlines()
    assert 'otp_checks_total{app="web",result="verified"} 1.0' in page
    assert 'otp_store_call_seconds_count{script="open"} 1.0' in page
    assert "otp_checks_total{" not in second.page(shared=False).decode()


def test_every_metric_has_our_prefix_a_help_text_and_a_unit_it_can_have() -> None:
    """Names follow Prometheus' rules: seconds as base unit, one prefix."""
    page = Metrics().page(shared=False).decode()
    families = re.findall(r"# HELP (\S+) (.*)", page)
    assert len({name for name, _ in families}) >= 13
    for name, about in families:
        assert name.startswith("otp_")
        assert about
        assert not re.search(r"milli|_ms\b", name)
