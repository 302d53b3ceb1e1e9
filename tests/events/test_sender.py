"""How events reach apps: a real endpoint over HTTP, and signatures checked by the specification's library."""

import base64
import queue as queues
import secrets
import threading
from collections.abc import Iterator

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.events import queue
from otp_service.events.sender import APP_SHARE, CROWDED, NOT_NOW, WebhookSender
from otp_service.net.public_only import PostResult, PublicClient
from otp_service.policy import App, Events, Policy
from otp_service.telemetry.metrics import Metrics
from tests.support.endpoint import Endpoint
from tests.support.patience import PATIENCE

KEYS = (secrets.token_bytes(32), secrets.token_bytes(32))


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Give an app's endpoint."""
    made = Endpoint()
    yield made
    made.close()


def a_sender(store: Stores, url: str, **secrets_by_name: tuple[bytes, ...]) -> WebhookSender:
    """Make a webhook sender for the one app."""
    app = App(name="web", brand="Acme", events=Events(url=url, secret_env="SECRET"))
    policy = Policy(apps={"web": app}, upstreams={}, routes=())
    return WebhookSender(
        policy=lambda: policy,
        secrets=secrets_by_name or {"SECRET": KEYS},
        queue=store.events,
        facts=store.facts,
        client=PublicClient(allow_private=True),
        metrics=Metrics(),
    )


def queued_event(store: Stores, app: str = "web") -> str:
    """Queue an event; gives its id."""
    before = due(store)
    record = {
        "app": app,
        "type": "challenge.verified",
        "at": 1_700_000_000_123,
        "data": {"challenge_id": "c"},
    }
    store.events.put(store.challenges.new_id(), [""], {"": record})
    [id_] = due(store) - before
    return id_


def due(store: Stores) -> set[str]:
    """List the events that are due."""
    return {id_ for p in store.partitions.names() for id_ in store.events_due.due([p], 100)[p].ids}


def running() -> bool:
    """The worker is not to stop."""
    return False


def test_an_event_is_signed_with_every_secret_and_ends(store: Stores, endpoint: Endpoint) -> None:
    """A receiver accepts it with either secret of a rotation, and refuses it with another. Then it is gone."""
    id_ = queued_event(store)
    a_sender(store, endpoint.url).send(id_, running)
    [post] = endpoint.posts
    for key in KEYS:
        assert post.read(base64.b64encode(key).decode()) == {
            "type": "challenge.verified",
            "timestamp": "2023-11-14T22:13:20.123Z",
            "data": {"challenge_id": "c"},
        }
    with pytest.raises(Exception, match="No matching signature"):
        post.read(base64.b64encode(secrets.token_bytes(32)).decode())
    assert post.id == id_
    store.scripts.offset += queue.LEASE
    assert due(store) == set()


def test_a_retry_keeps_the_id_and_waits(store: Stores, endpoint: Endpoint) -> None:
    """A receiver recognizes a repetition by the id; the second try comes after its pause, not before."""
    endpoint.statuses.put(500)
    sender, id_ = a_sender(store, endpoint.url), queued_event(store)
    sender.send(id_, running)
    sender.send(id_, running)
    assert len(endpoint.posts) == 1
    store.scripts.offset += 6000
    sender.send(id_, running)
    first, second = endpoint.posts
    assert first.id == second.id == id_
    assert first.body == second.body
    assert due(store) == set()


def test_gone_switches_the_endpoint_off(store: Stores, endpoint: Endpoint) -> None:
    """After a 410 no event is sent there until the policy names another address."""
    endpoint.statuses.put(410)
    sender = a_sender(store, endpoint.url)
    for _ in range(3):
        sender.send(queued_event(store), running)
    assert len(endpoint.posts) == 1
    assert due(store) == set()
    a_sender(store, f"{endpoint.url}?again").send(queued_event(store), running)
    assert len(endpoint.posts) == 2


def test_a_crash_after_the_claim_keeps_the_event(store: Stores, endpoint: Endpoint) -> None:
    """After the lease of a worker that died, the same event is sent again with the same id."""
    sender, id_ = a_sender(store, endpoint.url), queued_event(store)
    assert store.events.claim(id_) is not None
    sender.send(id_, running)
    assert endpoint.posts == []
    store.scripts.offset += queue.LEASE
    sender.send(id_, running)
    [post] = endpoint.posts
    assert post.id == id_
    assert due(store) == set()


def test_an_event_without_endpoint_or_secret_waits(store: Stores, endpoint: Endpoint) -> None:
    """If the policy lacks its app, or the process its secret, nothing is sent unsigned and nothing is lost."""
    events = {queued_event(store, "gone"), queued_event(store)}
    for id_ in events:
        a_sender(store, endpoint.url, OTHER=KEYS).send(id_, running)
    store.scripts.offset += queue.LEASE
    assert (endpoint.posts, due(store)) == ([], set())
    store.scripts.offset += int(NOT_NOW * 1000)
    assert due(store) == events


def test_a_stopping_worker_takes_no_event(store: Stores, endpoint: Endpoint) -> None:
    """It stays due for another worker."""
    id_ = queued_event(store)
    a_sender(store, endpoint.url).send(id_, lambda: True)
    assert (endpoint.posts, due(store)) == ([], {id_})


class SlowClient:
    """A client whose posts to one address last until the test ends them."""

    def __init__(self) -> None:
        self.posted: queues.SimpleQueue[str] = queues.SimpleQueue()
        self.ended = threading.Event()

    def post(self, url: str, headers: object, body: object) -> PostResult:
        """Post to an app's endpoint; that of `web` is slow."""
        assert headers
        assert body
        self.posted.put(url)
        if "slow" in url:
            assert self.ended.wait(PATIENCE)
        return PostResult(200, None, "answered")


def test_a_slow_endpoint_takes_only_its_apps_share(store: Stores) -> None:
    """Beyond it an event waits for a moment without a try being counted, and another app's event is posted."""
    client = SlowClient()
    apps = {
        name: App(name=name, brand="Acme", events=Events(url=f"https://{url}.example", secret_env="SECRET"))
        for name, url in (("web", "slow"), ("other", "quick"))
    }
    sender = WebhookSender(
        policy=lambda: Policy(apps=apps, upstreams={}, routes=()),
        secrets={"SECRET": KEYS},
        queue=store.events,
        facts=store.facts,
        client=client,  # type: ignore[arg-type]
        metrics=Metrics(),
    )
    held = [
        threading.Thread(target=sender.send, args=(queued_event(store), running)) for _ in range(APP_SHARE)
    ]
    for thread in held:
        thread.start()
    assert {client.posted.get(timeout=PATIENCE) for _ in held} == {"https://slow.example"}
    crowded, other = queued_event(store), queued_event(store, "other")
    sender.send(crowded, running)
    sender.send(other, running)
    assert client.posted.get(timeout=PATIENCE) == "https://quick.example"
    assert client.posted.empty()
    client.ended.set()
    for thread in held:
        thread.join(PATIENCE)
    store.scripts.offset += int(CROWDED * 1000)
    assert due(store) == {crowded}
    sender.send(crowded, running)
    assert client.posted.get(timeout=PATIENCE) == "https://slow.example"
    assert due(store) == set()
