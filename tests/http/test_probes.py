"""Probes and metrics."""

from collections.abc import Iterator

import pytest

from otp_service.delivery.worker_watch import RETRY_AFTER
from otp_service.errors import StoreUnavailable
from otp_service.policy.followers import Report
from otp_service.store.layout import LAYOUT
from tests.conftest import OPS
from tests.support.http_api import (
    Api,
    close,
    make_api,
    wrong,
)
from tests.support.http_calls import problem_of
from tests.support.patience import PATIENCE
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ["tests.support.http_fixtures"]
PARTS = {"store": "ok", "layout": "ok", "eviction": "ok", "workers": "no_worker", "policy": "ok"}


def test_a_process_is_alive_whatever_else_is_not(away: Api) -> None:
    """The liveness probe checks nothing else; a restart would not help."""
    answer = away.call("GET", "/healthz", key=None)
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_a_process_is_ready_while_its_store_takes_writes(api: Api, away: Api) -> None:
    """The readiness probe pings the parts; without the store it is 503 and says which part and when to try again."""
    ready, unready = (one.call("GET", "/readyz", key=None) for one in (api, away))
    assert (ready.status_code, ready.json) == (
        200,
        {
            "status": "ok",
            "parts": {
                "store": "ok",
                "layout": "ok",
                "eviction": "ok",
                "workers": "no_worker",
                "policy": "ok",
            },
        },
    )
    assert "Retry-After" not in ready.headers
    assert (unready.status_code, unready.json) == (
        503,
        {"status": "unavailable", "parts": {"store": "store_unavailable"}},
    )
    assert unready.headers["Retry-After"] == "2"


def test_without_a_worker_a_process_is_ready_and_says_so(api: Api) -> None:
    """The status stays 200, because codes can still be checked. A worker that beats is seen at once."""
    core = api.core
    assert api.call("GET", "/readyz", key=None).json == {"status": "ok", "parts": PARTS}
    core.store.membership(core.store.due).beat("one", PATIENCE)
    ready = api.call("GET", "/readyz", key=None)
    assert (ready.status_code, ready.json) == (200, {"status": "ok", "parts": PARTS | {"workers": "ok"}})


def test_a_store_of_a_newer_version_is_named_and_neither_read_nor_changed(valkey: ValkeyServer) -> None:
    """A process that was not upgraded serves nothing and says why, from within a second; then it goes on."""
    api = make_api(valkey)
    api.core.layout.refresh()
    running = api.opened()
    mark = f"{api.core.settings.redis_prefix}:layout"
    assert api.store.get(mark) == str(LAYOUT)
    api.store.set(mark, LAYOUT + 1)
    api.core.layout.refresh()
    before = api.kept()
    ready = api.call("GET", "/readyz", key=None)
    parts = {"store": "store_unavailable", "layout": f"{LAYOUT + 1}, newer than {LAYOUT}"}
    assert (ready.status_code, ready.json) == (503, {"status": "unavailable", "parts": parts})
    for answer in (api.send(), api.status(running), api.verify(running, "123456"), api.resend(running)):
        assert problem_of(answer) == (503, "store_unavailable")
    assert "of a newer version of the service" in api.status(running).text
    with pytest.raises(StoreUnavailable):
        api.dispatch(running)  # as a worker
    assert api.kept() == before
    api.store.set(mark, LAYOUT)
    api.core.layout.refresh()
    assert api.status(running).status_code == 200
    close(api)


def test_a_process_that_keeps_an_older_policy_is_named(api: Api) -> None:
    """In the body of /readyz of every process, because the one that lacks a secret may serve no probe."""
    core = api.core
    core.followers.write("worker b:2", Report(3, 4, ()))
    core.followers.write("api a:1", Report(4, 4, ()))
    ready = api.call("GET", "/readyz", key=None)
    assert ready.status_code == 200
    assert (ready.json or {})["parts"]["policy"] == "worker b:2 keeps version 3, not 4"


def test_a_send_without_workers_is_refused_with_a_time_to_wait(live: Api) -> None:
    """503 `no_worker`, while a code that was sent before can be checked."""
    challenge_id, code = live.sent()
    live.lose_workers()
    refused = live.send()
    assert problem_of(refused) == (503, "no_worker")
    assert refused.headers["Retry-After"] == str(RETRY_AFTER)
    assert live.verify(challenge_id, code).status_code == 200


@pytest.fixture
def replica() -> Iterator[Api]:
    """Build an application on a server that takes no writes."""
    server = ValkeyServer()
    made = make_api(server)
    made.store.replicaof("127.0.0.1", 9)
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
    answer = live.call("GET", "/metrics", key=OPS)
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


def test_a_store_that_evicts_keys_is_named(live: Api) -> None:
    """In the body of /readyz and in the metrics; the process still serves."""
    watch, answers = live.core.eviction, list[tuple[int, str, bool]]()
    for policy in ("allkeys-lru", "noeviction"):
        live.store.config_set("maxmemory-policy", policy)
        try:
            watch.refresh()
        finally:
            live.store.config_set("maxmemory-policy", "noeviction")
        ready = live.call("GET", "/readyz", key=None)
        metrics = live.call("GET", "/metrics", key=OPS).text
        answers.append(
            (
                ready.status_code,
                (ready.json or {})["parts"]["eviction"],
                "otp_store_evicts_keys 1.0" in metrics,
            )
        )
    assert answers == [(200, "allkeys-lru", True), (200, "ok", False)]
