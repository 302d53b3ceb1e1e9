"""Probes and metrics."""

from collections.abc import Iterator

import pytest

from tests.support.http_api import (
    Api,
    close,
    make_api,
    wrong,
)
from tests.support.http_calls import problem_of
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ["tests.support.http_fixtures"]


def test_a_process_is_alive_whatever_else_is_not(away: Api) -> None:
    """The liveness probe checks nothing else; a restart would not help."""
    answer = away.call("GET", "/healthz", key=None)
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_a_process_is_ready_while_its_store_takes_writes(api: Api, away: Api) -> None:
    """The readiness probe pings the parts; without the store it is 503 and says which part and when to try again."""
    ready, unready = (one.call("GET", "/readyz", key=None) for one in (api, away))
    assert (ready.status_code, ready.json) == (200, {"status": "ok", "parts": {"store": "ok"}})
    assert "Retry-After" not in ready.headers
    assert (unready.status_code, unready.json) == (
        503,
        {"status": "unavailable", "parts": {"store": "store_unavailable"}},
    )
    assert unready.headers["Retry-After"] == "2"


@pytest.fixture
def replica() -> Iterator[Api]:
    """Build an application on a server that takes no writes."""
    server = ValkeyServer(options={"replicaof": "127.0.0.1 9"})
    made = make_api(server)
    yield made
    close(made)
    server.close()


def test_a_store_that_takes_no_writes_is_not_ready(replica: Api) -> None:
    """A read-only replica answers a ping, but cannot store a challenge."""
    assert replica.call("GET", "/readyz", key=None).status_code == 503
    assert problem_of(replica.send()) == (503, "store_unavailable")


def test_metrics_count_requests_and_results(live: Api) -> None:
    """Routes are labelled by their rules, so that no challenge's id becomes a label."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, wrong(code))
    live.verify(challenge_id, code)
    live.status(challenge_id)
    answer = live.call("GET", "/metrics", key=None)
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    for line in (
        'otp_http_requests_total{route="/otp/send",status="202"} 1.0',
        'otp_http_requests_total{route="/otp/<challenge_id>",status="200"} 1.0',
        'otp_checks_total{app="web",result="wrong_code"} 1.0',
        'otp_checks_total{app="web",result="verified"} 1.0',
        'otp_challenges_total{app="web",result="opened"} 1.0',
        'otp_verified_codes_total{channel="sms",upstream="main"} 1.0',
        'otp_deliveries_total{channel="sms",reason="accepted",upstream="main",verdict="accepted"} 1.0',
    ):
        assert line in answer.text.splitlines()
    assert challenge_id not in answer.text
