"""What apps are told of their challenges: each event once, only what they want, and as soon as it is known."""

from collections.abc import Iterator
from typing import Any

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State
from otp_service.errors import NumberOptedOut, WrongCode
from otp_service.events.outbox import BLOCKED_PAUSE, Outbox
from otp_service.events.standard_webhooks import EventType
from otp_service.policy import App, Events, Policy
from otp_service.policy.active import ActivePolicy
from otp_service.upstream.port import Inbound
from otp_service.verification.send import SendRequest
from tests.support.fault_server import FaultServer
from tests.support.journeys import Journeys, Upstream, account, four_channels, open_core, steps
from tests.support.numbers import crowd
from tests.support.spine import brought, open_store, opened, proxied_store, seen, together
from tests.support.valkey_server import ValkeyServer

TOLD = """
[app.web.events]
url = "https://app.example.com/events"
secret_env = "OTP_EVENTS_WEB"
"""
SECRET = f"whsec_{'A' * 43}="
GUESSES = 5

Told = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def journeys(valkey: ValkeyServer) -> Iterator[Journeys]:
    """Give a core whose app `web` hears of everything."""
    upstream = Upstream()
    with FaultServer() as server:
        server.respond(upstream)
        text = four_channels(account("main", server.url)) + TOLD
        core = open_core(valkey, text, event_secrets={"OTP_EVENTS_WEB": SECRET})
        yield Journeys(core, valkey, upstream)
        core.close()


@pytest.fixture
def store(valkey: ValkeyServer) -> Iterator[Stores]:
    """Give a store with keys of its own."""
    with open_store(valkey) as made:
        yield made


def outbox(store: Stores, events: Events | None, *, version: int = 1) -> Outbox:
    """Make the outbox of a process that follows a version of the policy."""
    policy = Policy(apps={"web": App(name="web", brand="Acme", events=events)}, upstreams={}, routes=())
    active = ActivePolicy(version=version, policy=policy, senders={}, accounts={})
    return Outbox(active=lambda: active, challenges=store.challenges, queue=store.events, facts=store.facts)


def wanted(*types: str) -> Events:
    """Say that an app wants these events; none are all."""
    return Events(url="https://app.example.com/events", secret_env="OTP_EVENTS_WEB", types=types)


def told(store: Stores) -> Told:
    """Take all events that are on their way, by what they say; nothing of them is left."""
    found: Told = []
    for id_ in [id_ for p in store.partitions.names() for id_ in store.events_due.due(p, 100).ids]:
        event = store.events.claim(id_)
        assert event is not None
        store.events.finish(id_)
        found.append((event.record["type"], event.record["data"]))
    return sorted(found, key=str)


def types(found: Told) -> list[str]:
    """Give the events' types."""
    return [type_ for type_, _ in found]


def guess_wrong(journeys: Journeys, id_: str, times: int) -> None:
    """Type a code that was sent over no channel."""
    wrong = next(c for c in ("000000", "111111", "222222") if c not in journeys.upstream.codes.values())
    for _ in range(times):
        with pytest.raises(WrongCode):
            journeys.core.check.verify(journeys.caller(*steps(["sms"])), id_, wrong)


def test_an_app_hears_what_became_of_each_message(journeys: Journeys) -> None:
    """An SMS that is reported as failed, the message that follows it, and the check; data names no number or code."""
    journeys.upstream.ends = {"sms": "failed_receipt", "whatsapp": "delivered"}
    rules = steps(["sms", "whatsapp"])
    id_ = journeys.start(*rules)
    journeys.rest(id_)
    journeys.core.check.verify(journeys.caller(*rules), id_, journeys.upstream.codes["whatsapp"])
    journeys.dispatch(id_)
    about = {"challenge_id": id_, "purpose": "login"}
    whatsapp = {**about, "channel": "whatsapp"}
    assert told(journeys.core.store) == [
        ("challenge.delivered", whatsapp),
        ("challenge.fell_back", {**whatsapp, "from": "sms", "reason": "undelivered"}),
        ("challenge.sent", {**about, "channel": "sms"}),
        ("challenge.sent", whatsapp),
        ("challenge.verified", whatsapp),
    ]
    assert journeys.dispatch(id_).told == seen(journeys.core.store, id_).told
    assert told(journeys.core.store) == []


def test_the_last_wrong_guess_is_told_at_once(journeys: Journeys) -> None:
    """Not when the challenge expires, which may be minutes later; and not a second time then."""
    id_ = journeys.start(*steps(["sms"]))
    journeys.rest(id_)
    guess_wrong(journeys, id_, GUESSES - 1)
    assert "challenge.failed" not in types(told(journeys.core.store))
    guess_wrong(journeys, id_, 1)
    failed = {"challenge_id": id_, "purpose": "login", "reason": "exhausted"}
    assert told(journeys.core.store) == [("challenge.failed", failed)]
    assert journeys.to_the_end(id_).state is State.EXHAUSTED
    journeys.dispatch(id_)
    assert journeys.pause(id_) is None, "it still needs attention"
    assert told(journeys.core.store) == []


def test_a_guess_is_answered_although_nobody_can_be_told_of_it(journeys: Journeys) -> None:
    """The store fails between the last guess and the event: the app hears of it when the challenge expires."""
    core, id_ = journeys.core, journeys.start(*steps(["sms"]))
    journeys.rest(id_)
    with proxied_store("redis://127.0.0.1:9", "nobody") as away:
        core.check._outbox = Outbox(  # noqa: SLF001 - a store of its own
            active=core.active, challenges=away.challenges, queue=away.events, facts=away.facts
        )
        guess_wrong(journeys, id_, GUESSES)
    assert "challenge.failed" not in types(told(core.store))
    journeys.to_the_end(id_)
    journeys.dispatch(id_)
    assert types(told(core.store)) == ["challenge.failed"]


def test_no_failure_is_told_of_a_challenge_that_was_won(store: Stores) -> None:
    """A right guess that was counted before the last wrong one may end first: then the wrong one is no news."""
    late = opened(store, watched=True)
    store.challenges.finish(late.id, "web", State.VERIFIED, 0)
    outbox(store, wanted()).queue_exhausted(late)
    assert told(store) == []


def test_an_app_hears_only_what_it_asked_for(store: Stores) -> None:
    """By type; what it does not want counts as told, so that a wish that comes later brings no old news."""
    challenge = opened(store, watched=True)
    brought(store, challenge.id)
    store.challenges.finish(challenge.id, "web", State.VERIFIED, 0)
    outbox(store, wanted("challenge.verified")).queue_events(seen(store, challenge.id))
    assert types(told(store)) == ["challenge.verified"]
    outbox(store, wanted()).queue_events(seen(store, challenge.id))
    assert told(store) == []


def test_whoever_does_not_want_events_gets_none(store: Stores) -> None:
    """An app without an endpoint, and a challenge that was opened before it had one."""
    challenge = opened(store, watched=True)
    brought(store, challenge.id)
    outbox(store, None).queue_events(seen(store, challenge.id))
    before = opened(store)
    brought(store, before.id)
    box = outbox(store, wanted())
    for queue_events in (box.queue_events, box.queue_exhausted):
        queue_events(seen(store, before.id))
    assert told(store) == []


def test_a_process_that_does_not_follow_yet_leaves_telling_to_others(store: Stores) -> None:
    """It may not know yet who wants to hear; whoever has the challenge's version tells."""
    challenge = opened(store, watched=True, policy=2)
    brought(store, challenge.id)
    outbox(store, None, version=1).queue_events(seen(store, challenge.id))
    assert seen(store, challenge.id).told == ()
    outbox(store, wanted(), version=2).queue_events(seen(store, challenge.id))
    assert types(told(store)) == ["challenge.sent"]


def test_many_who_tell_at_once_tell_once(store: Stores) -> None:
    """Sixteen with the same news: the app hears it once."""
    challenge = opened(store, watched=True)
    brought(store, challenge.id)
    store.challenges.finish(challenge.id, "web", State.VERIFIED, 0)
    news = seen(store, challenge.id)
    box = outbox(store, wanted())
    assert together(16, lambda _: box.queue_events(news)) == [None] * 16
    assert types(told(store)) == ["challenge.sent", "challenge.verified"]


def test_a_flood_of_refusals_is_no_flood_of_events(journeys: Journeys) -> None:
    """A number that wrote STOP: one event a minute, naming the rule and not the number."""
    core, caller, number = journeys.core, journeys.caller(*steps(["sms"])), next(crowd())
    core.replies.record_reply("main", Inbound(channel="sms", sender=number, text="STOP"))
    for _ in range(5):
        with pytest.raises(NumberOptedOut):
            core.send.send(caller, SendRequest(to=number))
    assert told(core.store) == [("challenge.blocked", {"rule": "suppression"})]
    assert BLOCKED_PAUSE == 60


def test_only_apps_that_want_to_hear_of_refusals_do(store: Stores) -> None:
    """Neither an app of other wishes nor one without an endpoint; each counter has a pause of its own."""
    outbox(store, wanted(EventType.SENT)).queue_blocked("web", "number", "one")
    outbox(store, None).queue_blocked("web", "number", "one")
    assert told(store) == []
    box = outbox(store, wanted(EventType.BLOCKED))
    for counter in ("one", "one", "two"):
        box.queue_blocked("web", "number", counter)
    assert types(told(store)) == ["challenge.blocked"] * 2
