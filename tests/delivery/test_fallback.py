"""How a plan ends if its steps fail in every documented way, in every order of the four channels."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from otp_service.challenge.model import State, Status
from otp_service.policy import StepRule
from otp_service.upstream.port import Stage
from otp_service.verification.resend import ResendRequest
from tests.support.examples import PATIENT
from tests.support.fault_server import FaultServer
from tests.support.journeys import (
    CHANNELS,
    ORDERS,
    Journeys,
    Upstream,
    account,
    four_channels,
    open_core,
    steps,
)
from tests.support.spine import seen
from tests.support.valkey_server import ValkeyServer

WAYS = {
    "refused": Status.REFUSED,
    "not_allowed": Status.REFUSED,
    "no_credits": Status.REFUSED,
    "failed_receipt": Status.FAILED,
    "silence": Status.ACCEPTED,
    "unknown": Status.UNKNOWN,
    "delivered": Status.DELIVERED,
    "breaker_open": None,
    "condition": None,
}
"""How a step may end, and where that leaves its delivery; None where it is skipped."""
ARRIVED = {Status.ACCEPTED, Status.UNKNOWN, Status.DELIVERED}
PAIRS = [
    tuple(list(WAYS)[place % 9] for place in (a, b, a + b, a + 2 * b))
    for a, b in itertools.product(range(9), repeat=2)
]
"""Ways for the four steps, so that every two of them occur together on every two steps (an orthogonal array)."""

Ends = list[tuple[str, Status]]


@pytest.fixture(scope="module")
def journeys(valkey: ValkeyServer) -> Iterator[Journeys]:
    """Give a core whose one account answers as each test says."""
    upstream = Upstream()
    with FaultServer() as server:
        server.respond(upstream)
        core = open_core(valkey, four_channels(account("main", server.url)))
        yield Journeys(core, valkey, upstream)
        core.close()


def expected(order: tuple[str, ...], ways: tuple[str, ...]) -> tuple[Ends, State]:
    """Give the end that the policy requires for a plan.

    Steps are tried in order. Those that cannot be taken are skipped, and tried once more when no other step is left.
    Nothing follows a delivered message. A message that may have left is repeated once on its channel if no other
    step is left.
    """
    ends: Ends = []
    for channel, way in zip(order, ways, strict=True):
        if (status := WAYS[way]) is None:
            continue
        ends.append((channel, status))
        if way == "delivered":
            return ends, State.EXPIRED
    skipped = [place for place, way in enumerate(ways) if WAYS[way] is None]
    if skipped:
        at = order.index(ends[-1][0]) if ends else -1
        after = sorted(skipped, key=lambda place: place < at)
        ends.append((order[after[0]], Status.REFUSED))
    elif ends[-1][1] is Status.UNKNOWN:
        ends.append(ends[-1])
    came = any(status in ARRIVED for _, status in ends)
    return ends, State.EXPIRED if came else State.UNDELIVERABLE


def journey(journeys: Journeys, order: tuple[str, ...], ways: tuple[str, ...]) -> tuple[Ends, State]:
    """Run a plan to its end."""
    journeys.mend_all()
    journeys.upstream.ends = dict(zip(order, ways, strict=True))
    journeys.upstream.took.clear()
    rules = list(steps(order))
    for place, way in enumerate(ways):
        if way == "breaker_open":
            journeys.break_open(order[place])
        elif way == "condition":
            rules[place] = replace(rules[place], condition="open")
    challenge = journeys.to_the_end(journeys.start(*rules))
    return [(d.channel, d.status) for d in challenge.deliveries], challenge.state


def messages(ends: Ends, ways: dict[str, str]) -> list[str]:
    """List the channels that must have sent a message."""
    return [channel for channel, _ in ends if WAYS[ways[channel]] is not None]


@pytest.mark.parametrize("share", [3, pytest.param(1, marks=pytest.mark.slow)], ids=["a-third", "all"])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_in_every_order_every_pair_of_failures_ends_as_the_policy_says(
    journeys: Journeys, order: tuple[str, ...], share: int
) -> None:
    """81 plans cover each pair of failures on each pair of steps: deliveries, end and sent messages are as expected.

    Each order runs a third of them, so that each plan runs in eight orders.
    """
    for ways in PAIRS[ORDERS.index(order) % share :: share]:
        ends, state = expected(order, ways)
        assert journey(journeys, order, ways) == (ends, state), ways
        assert journeys.upstream.took == messages(ends, dict(zip(order, ways, strict=True))), ways


@given(st.sampled_from(ORDERS), st.tuples(*[st.sampled_from(list(WAYS))] * 4))
@hypothesis_settings(PATIENT, max_examples=100)
def test_any_four_failures_end_as_the_policy_says(
    journeys: Journeys, order: tuple[str, ...], ways: tuple[str, ...]
) -> None:
    """The same for any four failures; a channel sends a second message only after an unknown outcome."""
    ends, state = expected(order, ways)
    assert journey(journeys, order, ways) == (ends, state)
    took = journeys.upstream.took
    twice = {channel for channel in took if took.count(channel) > 1}
    assert all(dict(zip(order, ways, strict=True))[channel] == "unknown" for channel in twice)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    ("until", "news", "falls_back"),
    [
        ("accepted", "silence", False),
        ("sent", "silence", True),
        ("sent", "sent", False),
        ("delivered", "silence", True),
        ("delivered", "sent", True),
        ("delivered", "delivered", False),
        ("read", "delivered", True),
        ("read", "read", False),
    ],
)
def test_a_step_succeeds_when_the_status_that_it_waits_for_is_reached(
    journeys: Journeys, channel: str, until: str, news: str, *, falls_back: bool
) -> None:
    """For each `until`, the status just below it leads to a fallback when the wait ends; that status does not."""
    other = next(c for c in CHANNELS if c != channel)
    journeys.mend_all()
    journeys.upstream.ends = {channel: news, other: "delivered"}
    id_ = journeys.start(*steps([channel], until=until), *steps([other]))
    challenge = journeys.rest(id_)
    assert [d.channel for d in challenge.deliveries] == ([channel, other] if falls_back else [channel])


def test_a_failure_counts_although_an_accepted_message_was_enough(journeys: Journeys) -> None:
    """With `until = accepted` the step does not wait, but a receipt of a failure still starts the next step."""
    journeys.upstream.ends = {"sms": "failed_receipt"}
    id_ = journeys.start(*steps(["sms"], until="accepted"), *steps(["voice"]))
    assert [d.channel for d in journeys.rest(id_).deliveries] == ["sms", "voice"]


@pytest.mark.parametrize("chosen", CHANNELS)
@pytest.mark.parametrize("way", ["refused", "failed_receipt", "silence", "unknown"])
def test_a_chosen_channel_that_fails_is_followed_by_the_others_or_by_nothing(
    journeys: Journeys, chosen: str, way: str
) -> None:
    """`after_choice = continue` takes the other steps in order; `stop` leaves the choice to the person."""
    journeys.mend_all()
    journeys.upstream.ends = {chosen: way}
    others = [channel for channel in CHANNELS if channel != chosen]
    for after_choice, follows in (("continue", others[:1]), ("stop", [])):
        id_ = journeys.start(*steps(CHANNELS), channel=chosen, after_choice=after_choice)
        challenge = journeys.rest(id_)
        repeated = [chosen] if way == "unknown" and after_choice == "stop" else []
        assert [d.channel for d in challenge.deliveries] == [chosen, *repeated, *follows]
        assert challenge.state is State.PENDING
        assert challenge.deliveries[0].chosen


def test_a_person_may_choose_again_after_a_choice_that_failed(journeys: Journeys) -> None:
    """`stop` keeps the challenge open: the person may name another channel, and it sends."""
    journeys.mend_all()
    journeys.upstream.ends = {"whatsapp": "refused"}
    rules = steps(CHANNELS)
    id_ = journeys.start(*rules, channel="whatsapp", after_choice="stop")
    journeys.rest(id_)
    journeys.move(1000)
    journeys.core.resend.resend(journeys.caller(*rules), id_, ResendRequest(channel="rcs"))
    assert [d.status for d in journeys.rest(id_).deliveries] == [Status.REFUSED, Status.DELIVERED]


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_resend_takes_the_next_channel_or_the_one_that_is_named(
    journeys: Journeys, order: tuple[str, ...]
) -> None:
    """Without a name the next step follows at once; with a name, the step of that channel."""
    journeys.mend_all()
    journeys.upstream.ends = dict.fromkeys(order, "silence")
    rules = steps(order)
    for named in (None, *order):
        id_ = journeys.start(*rules)
        journeys.dispatch(id_)
        journeys.move(1000)
        journeys.core.resend.resend(journeys.caller(*rules), id_, ResendRequest(channel=named))
        journeys.dispatch(id_)
        challenge = seen(journeys.core.store, id_)
        assert [d.channel for d in challenge.deliveries] == [order[0], named or order[1]]
        assert challenge.last.status is Status.ACCEPTED
        assert challenge.last.chosen is (named is not None)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_check_tells_which_channels_code_came_back(journeys: Journeys, order: tuple[str, ...]) -> None:
    """Each of the four messages has its own code; the answer names the channel whose code was typed."""
    journeys.mend_all()
    journeys.upstream.ends = dict.fromkeys(order, "silence")
    rules = steps(order)
    for place, channel in enumerate(order):
        id_ = journeys.start(*rules)
        codes: dict[str, str] = {}
        journeys.upstream.codes = codes
        journeys.go_on(
            id_, lambda challenge: challenge.last.step == 3 and challenge.last.status == "accepted"
        )
        assert list(codes) == list(order)
        if list(codes.values()).count(codes[channel]) > 1:
            continue  # two drawn codes may be equal; then the code does not identify the channel
        won = journeys.core.check.verify(journeys.caller(*rules), id_, codes[channel])
        assert won.view.channel == channel
        assert seen(journeys.core.store, id_).via == place


@pytest.mark.parametrize("way", ["silence", "failed_receipt", "refused", "unknown"])
def test_no_message_leaves_when_the_challenge_is_about_to_end(journeys: Journeys, way: str) -> None:
    """With less than ten seconds left nothing is sent, however many steps are left: typing a code takes time."""
    journeys.mend_all()
    journeys.upstream.ends = {"sms": way}
    journeys.upstream.took.clear()
    rules = (StepRule(channel="sms", upstreams=("main",), wait=112), *steps(["voice", "rcs"]))
    id_ = journeys.start(*rules)
    if way in {"refused", "failed_receipt"}:
        journeys.move(111_000)
    journeys.to_the_end(id_)
    assert journeys.upstream.took == ([] if way in {"refused", "failed_receipt"} else ["sms"])


def test_a_late_receipt_neither_moves_nor_revives_what_followed(journeys: Journeys) -> None:
    """A receipt of the first message after the second has left is recorded and changes nothing else."""
    journeys.mend_all()
    journeys.upstream.ends = {"sms": "silence", "voice": "silence"}
    id_ = journeys.start(*steps(["sms", "voice"]))
    challenge = journeys.rest(id_)
    first = challenge.deliveries[0]
    assert journeys.push("sms", first.upstream_id, Stage.FAILED) == "changed"
    assert journeys.push("sms", first.upstream_id, Stage.DELIVERED) == "changed"
    challenge = journeys.rest(id_)
    assert [d.status for d in challenge.deliveries] == [Status.DELIVERED, Status.ACCEPTED]
    journeys.push("sms", first.upstream_id, Stage.FAILED)
    assert seen(journeys.core.store, id_).deliveries[0].status is Status.DELIVERED
    assert journeys.to_the_end(id_).state is State.EXPIRED


def test_each_step_that_is_given_up_is_counted(journeys: Journeys) -> None:
    """By the channel that failed and the one that follows, so that operators see where messages are lost."""
    journeys.mend_all()

    def counted() -> float:
        return (
            journeys.core.metrics.registry.get_sample_value(
                "otp_fallbacks_total", {"channel": "sms", "next": "voice"}
            )
            or 0
        )

    before = counted()
    journeys.upstream.ends = {"sms": "failed_receipt"}
    journeys.rest(journeys.start(*steps(["sms", "voice"])))
    assert counted() == before + 1
    journeys.upstream.ends = {}
    journeys.rest(journeys.start(*steps(["sms", "voice"])))
    assert counted() == before + 1
