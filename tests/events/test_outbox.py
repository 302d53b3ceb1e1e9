"""Events of challenges: each once, only those that the app wants, and as soon as they happen."""

from collections.abc import Iterator
from typing import Any

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State
from otp_service.errors import NumberOptedOut, WrongCode
from otp_service.events.outbox import BLOCKED_PAUSE, Outbox
from otp_service.events.standard_webhooks import EventType
from otp_service.history.journal import Journal
from otp_service.policy import App, Events, Policy
from otp_service.policy.active import ActivePolicy
from otp_service.upstream.port import Reply
from otp_service.verification.send import SendRequest
from tests.support.fault_server import FaultServer
from tests.support.journeys import Journeys, Upstream, account, four_channels, open_core, steps
from tests.support.numbers import crowd
from tests.support.spine import brought, opened, proxied_store, seen, together
from tests.support.valkey_server import ValkeyServer

TOLD = """
[app.web.events]
url = "https://app.example.com/events"
secret_env = "OTP_EVENTS_WEB"
"""
SECRET = f"whsec_{'A' * 43}="
GUESSES = 5

QueuedEvents = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def journeys(valkey: ValkeyServer) -> Iterator[Journeys]:
    """Give a core whose app `web` wants all events."""
    upstream = Upstream()
    with FaultServer() as server:
        server.respond(upstream)
        text = four_channels(account("main", server.url)) + TOLD
        core = open_core(valkey, text, event_secrets={"OTP_EVENTS_WEB": SECRET})
        yield Journeys(core, valkey, upstream)
        core.close()


def outbox(store: Stores, events: Events | None, *, version: int = 1) -> Outbox:
    """Make the outbox of a process that follows a version of the policy."""
    policy = Policy(apps={"web": App(name="web", brand="Acme", events=events)}, upstreams={}, routes=())
    active = ActivePolicy(version=version, policy=policy, senders={}, accounts={})
    return Outbox(
        active=lambda: active,
        challenges=store.challenges,
        queue=store.events,
        facts=store.facts,
        journal=Journal(),
    )


def wanted(*types: str) -> Events:
    """Make an app that wants these events; without arguments, all."""
    return Events(url="https://app.example.com/events", secret_env="OTP_EVENTS_WEB", types=types)


def queued_events(store: Stores) -> QueuedEvents:
    """Take all queued events, so that none is left; gives their contents."""
    found: QueuedEvents = []
    for id_ in [id_ for p in store.partitions.names() for id_ in store.events_due.due([p], 100)[p].ids]:
        event = store.events.claim(id_)
        assert event is not None
        store.events.finish(id_)
        found.append((event.record["type"], event.record["data"]))
    return sorted(found, key=str)


def types(found: QueuedEvents) -> list[str]:
    """Give the events' types."""
    return [type_ for type_, _ in found]


def guess_wrong(journeys: Journeys, id_: str, times: int) -> None:
    """Type a code that was sent over no channel."""
    wrong = next(c for c in ("000000", "111111", "222222") if c not in journeys.upstream.codes.values())
    for _ in range(times):
        with pytest.raises(WrongCode):
            journeys.core.check.verify(journeys.caller(*steps(["sms"])), id_, wrong)


def test_an_app_gets_an_event_for_each_change_of_a_message(journeys: Journeys) -> None:
    """An SMS that is reported as failed, the next message, and the check; no event holds a number or code."""
    journeys.upstream.ends = {"sms": "failed_receipt", "whatsapp": "delivered"}
    rules = steps(["sms", "whatsapp"])
    id_ = journeys.start(*rules)
    journeys.rest(id_)
    journeys.core.check.verify(journeys.caller(*rules), id_, journeys.upstream.codes["whatsapp"])
    journeys.dispatch(id_)
    about = {"challenge_id": id_, "purpose": "login"}
    whatsapp = {**about, "channel": "whatsapp"}
    assert queued_events(journeys.core.store) == [
        ("challenge.delivered", whatsapp),
        ("challenge.fell_back", {**whatsapp, "from": "sms", "reason": "undelivered"}),
        ("challenge.sent", {**about, "channel": "sms"}),
        ("challenge.sent", whatsapp),
        ("challenge.verified", whatsapp),
    ]
    assert journeys.dispatch(id_).told == seen(journeys.core.store, id_).told
    assert queued_events(journeys.core.store) == []


def test_the_event_of_the_last_wrong_guess_is_queued_at_once(journeys: Journeys) -> None:
    """Not when the challenge expires, which may be minutes later, and not a second time then."""
    id_ = journeys.start(*steps(["sms"]))
    journeys.rest(id_)
    guess_wrong(journeys, id_, GUESSES - 1)
    assert "challenge.failed" not in types(queued_events(journeys.core.store))
    guess_wrong(journeys, id_, 1)
    failed = {"challenge_id": id_, "purpose": "login", "reason": "exhausted"}
    assert queued_events(journeys.core.store) == [("challenge.failed", failed)]
    assert journeys.to_the_end(id_).state is State.EXHAUSTED
    journeys.dispatch(id_)
    assert journeys.pause(id_) is None, "it still needs attention"
    assert queued_events(journeys.core.store) == []


def test_a_guess_is_answered_although_its_event_cannot_be_queued(journeys: Journeys) -> None:
    """If the store fails between the last guess and the event, the event follows when the challenge expires."""
    core, id_ = journeys.core, journeys.start(*steps(["sms"]))
    journeys.rest(id_)
    with proxied_store("redis://127.0.0.1:9", "nobody") as away:
        core.check._recorder._outbox = Outbox(  # noqa: SLF001 - a store of its own
            active=core.active,
            challenges=away.challenges,
            queue=away.events,
            facts=away.facts,
            journal=core.journal,
        )
        guess_wrong(journeys, id_, GUESSES)
    assert "challenge.failed" not in types(queued_events(core.store))
    journeys.to_the_end(id_)
    journeys.dispatch(id_)
    assert types(queued_events(core.store)) == ["challenge.failed"]


def test_there_is_no_failure_event_for_a_verified_challenge(store: Stores) -> None:
    """A right guess that was counted before the last wrong one may end first: then the wrong one causes no event."""
    late = opened(store, watched=True)
    store.challenges.finish(late.id, "web", State.VERIFIED, 0)
    outbox(store, wanted()).queue_exhausted(late)
    assert queued_events(store) == []


def test_an_app_gets_only_the_events_that_it_wants(store: Stores) -> None:
    """By type. Unwanted events count as sent, so that a later wish brings no old events."""
    challenge = opened(store, watched=True)
    brought(store, challenge.id)
    store.challenges.finish(challenge.id, "web", State.VERIFIED, 0)
    outbox(store, wanted("challenge.verified")).queue_events(seen(store, challenge.id))
    assert types(queued_events(store)) == ["challenge.verified"]
    outbox(store, wanted()).queue_events(seen(store, challenge.id))
    assert queued_events(store) == []


def test_an_app_that_wants_no_events_gets_none(store: Stores) -> None:
    """An app without an endpoint, and a challenge that was opened before it had one."""
    challenge = opened(store, watched=True)
    brought(store, challenge.id)
    outbox(store, None).queue_events(seen(store, challenge.id))
    before = opened(store)
    brought(store, before.id)
    box = outbox(store, wanted())
    for queue_events in (box.queue_events, box.queue_exhausted):
        queue_events(seen(store, before.id))
    assert queued_events(store) == []


def test_a_process_with_an_older_policy_leaves_events_to_others(store: Stores) -> None:
    """It may not know yet what the app wants; a process with the challenge's version queues them."""
    challenge = opened(store, watched=True, policy=2)
    brought(store, challenge.id)
    outbox(store, None, version=1).queue_events(seen(store, challenge.id))
    assert seen(store, challenge.id).told == ()
    outbox(store, wanted(), version=2).queue_events(seen(store, challenge.id))
    assert types(queued_events(store)) == ["challenge.sent"]


def test_many_processes_at_once_queue_an_event_once(store: Stores) -> None:
    """Sixteen callers with the same events: the app gets each once."""
    challenge = opened(store, watched=True)
    brought(store, challenge.id)
    store.challenges.finish(challenge.id, "web", State.VERIFIED, 0)
    news = seen(store, challenge.id)
    box = outbox(store, wanted())
    assert together(16, lambda _: box.queue_events(news)) == [None] * 16
    assert types(queued_events(store)) == ["challenge.sent", "challenge.verified"]


def test_many_refusals_do_not_cause_many_events(journeys: Journeys) -> None:
    """For a number that wrote STOP there is one event a minute; it names the rule and not the number."""
    core, caller, number = journeys.core, journeys.caller(*steps(["sms"])), next(crowd())
    core.replies.record_reply("main", Reply(channel="sms", sender=number, text="STOP"))
    for _ in range(5):
        with pytest.raises(NumberOptedOut):
            core.send.send(caller, SendRequest(to=number))
    assert queued_events(core.store) == [("challenge.blocked", {"rule": "suppression"})]
    assert BLOCKED_PAUSE == 60


def test_only_apps_that_want_events_of_refusals_get_them(store: Stores) -> None:
    """No app that wants other events or has no endpoint does; each counter has its own pause."""
    outbox(store, wanted(EventType.SENT)).queue_blocked("web", "number", "one")
    outbox(store, None).queue_blocked("web", "number", "one")
    assert queued_events(store) == []
    box = outbox(store, wanted(EventType.BLOCKED))
    for counter in ("one", "one", "two"):
        box.queue_blocked("web", "number", counter)
    assert types(queued_events(store)) == ["challenge.blocked"] * 2
