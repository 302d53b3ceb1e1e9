"""The operators' endpoint gets signed events, also when no worker is left to send them."""

import base64
import secrets
from collections.abc import Iterator

import pytest

from otp_service.alerts.bulletin import QUIET, SETTLE
from otp_service.alerts.teller import OWNER, Teller
from otp_service.bootstrap.core import Core
from tests.conftest import POLICY, make_core
from tests.support.endpoint import Endpoint
from tests.support.valkey_server import ValkeyServer

SECRET = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Give the operators' endpoint."""
    made = Endpoint()
    yield made
    made.close()


@pytest.fixture
def core(valkey: ValkeyServer, endpoint: Endpoint) -> Iterator[Core]:
    """Give a core without workers, whose policy names that endpoint."""
    text = f'{POLICY}[alerts]\nurl = "{endpoint.url}"\nsecret_env = "OTP_EVENTS_OPS"\n'
    made = make_core(valkey.url, "http://127.0.0.1:9", text=text, event_secrets={"OTP_EVENTS_OPS": SECRET})
    yield made
    made.close()


def told(endpoint: Endpoint) -> list[tuple[str, str]]:
    """Check the signatures of what came; give type and kind of each."""
    events = [post.read(SECRET) for post in endpoint.posts]
    return [(event["type"], event["data"]["alert"]) for event in events]


def beat(core: Core) -> None:
    """Let a worker beat: it is alive for an hour of the store's time."""
    core.store.membership(core.store.due).beat("w", 3_600)


def test_an_alert_is_told_when_it_begins_and_when_it_is_over(core: Core, endpoint: Endpoint) -> None:
    """Without any worker: the process that looks sends it."""
    core.teller.queue_news()
    assert told(endpoint) == []
    core.scripts.offset += SETTLE
    core.teller.queue_news()
    core.teller.queue_news()
    assert told(endpoint) == [("alert.firing", "workers_gone")]
    beat(core)
    core.teller.queue_news()
    core.scripts.offset += QUIET
    core.teller.queue_news()
    assert told(endpoint) == [("alert.firing", "workers_gone"), ("alert.resolved", "workers_gone")]


def test_an_endpoint_that_was_away_is_told_later(core: Core, endpoint: Endpoint) -> None:
    """With the same id, as any event of the queue."""
    endpoint.statuses.put(500)
    core.teller.queue_news()
    core.scripts.offset += SETTLE
    core.teller.queue_news()
    core.scripts.offset += 60_000
    core.teller.queue_news()
    assert told(endpoint) == [("alert.firing", "workers_gone")] * 2
    assert endpoint.posts[0].id == endpoint.posts[1].id


def test_processes_take_turns(core: Core, valkey: ValkeyServer) -> None:
    """Of ten that could look, one does."""
    tellers = [
        Teller(
            active=core.active,
            lookout=core.lookout,
            facts=core.store.facts,
            queue=core.store.events,
            sender=core.webhook_sender,
        )
        for _ in range(10)
    ]
    tellers[0].take_turn()
    assert core.store.facts.get(OWNER)
    core.store.facts.delete(OWNER)
    [turn] = valkey.client().scan_iter(f"{core.settings.redis_prefix}:s:{OWNER}:look", count=10_000)
    valkey.client().pexpire(turn, 600_000)  # ten looks may take longer than a turn
    for one in tellers:
        one.take_turn()
    assert core.store.facts.get(OWNER) is None


def test_without_an_endpoint_no_one_looks(valkey: ValkeyServer) -> None:
    """It costs nothing where no one wants it."""
    made = make_core(valkey.url, "http://127.0.0.1:9")
    made.teller.take_turn()
    assert made.store.facts.get(OWNER) is None
    made.close()
