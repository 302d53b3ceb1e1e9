"""How a plan ends when its steps fail in every documented way, in every order of the four channels."""

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
from tests.support.spine import PATIENT, seen
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
    """Say how a plan must end, from the policy's words alone.

    Steps are tried in their order, those that cannot be taken are passed over, and looked at once more when no
    other is left. Nothing follows a message that was delivered. A message that may have left is tried once more
    on its channel, where no other is left.
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
    """Go through a plan to its end."""
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
    """Name the channels over which a message must have left."""
    return [channel for channel, _ in ends if WAYS[ways[channel]] is not None]


@pytest.mark.parametrize("share", [3, pytest.param(1, marks=pytest.mark.slow)], ids=["a-third", "all"])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_in_every_order_every_pair_of_failures_ends_as_the_policy_says(
    journeys: Journeys, order: tuple[str, ...], share: int
) -> None:
    """81 plans cover every two ways to fail on every two steps: deliveries, end and messages that left all fit.

    A third of them in each order plays each plan in eight orders.
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
    """The same for any four ways, and no channel gets two messages but after an unknown end."""
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
def test_a_step_has_succeeded_once_what_it_waits_for_came_true(
    journeys: Journeys, channel: str, until: str, news: str, *, falls_back: bool
) -> None:
    """Each `until` with the news just short of it falls back when the wait ends, with that news it does not."""
    other = next(c for c in CHANNELS if c != channel)
    journeys.mend_all()
    journeys.upstream.ends = {channel: news, other: "delivered"}
    id_ = journeys.start(*steps([channel], until=until), *steps([other]))
    challenge = journeys.rest(id_)
    assert [d.channel for d in challenge.deliveries] == ([channel, other] if falls_back else [channel])


def test_a_failure_counts_although_an_accepted_message_was_enough(journeys: Journeys) -> None:
    """With `until = accepted` the step does not wait, but a failing receipt still moves the plan on."""
    journeys.upstream.ends = {"sms": "failed_receipt"}
    id_ = journeys.start(*steps(["sms"], until="accepted"), *steps(["voice"]))
    assert [d.channel for d in journeys.rest(id_).deliveries] == ["sms", "voice"]


@pytest.mark.parametrize("chosen", CHANNELS)
@pytest.mark.parametrize("way", ["refused", "failed_receipt", "silence", "unknown"])
def test_a_chosen_channel_that_fails_is_followed_by_the_others_or_by_nothing(
    journeys: Journeys, chosen: str, way: str
) -> None:
    """`after_choice = continue` takes the other steps in their order; `stop` leaves the choice to the person."""
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
    """`stop` keeps the challenge open: another channel that is named gets its message."""
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
    """Without a name the next step's turn comes at once; with one it is that channel's, wherever it stands."""
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
    """Each of the four messages has a code of its own; the answer names the channel of the one that was typed."""
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
            continue  # two draws may be alike; then the code cannot tell
        won = journeys.core.check.verify(journeys.caller(*rules), id_, codes[channel])
        assert won.view.channel == channel
        assert seen(journeys.core.store, id_).via == place


@pytest.mark.parametrize("way", ["silence", "failed_receipt", "refused", "unknown"])
def test_no_message_leaves_when_the_challenge_is_about_to_end(journeys: Journeys, way: str) -> None:
    """With less than ten seconds left nothing more is sent, however many steps are: a code needs time to be typed."""
    journeys.mend_all()
    journeys.upstream.ends = {"sms": way}
    journeys.upstream.took.clear()
    rules = (StepRule(channel="sms", upstreams=("main",), wait=112), *steps(["voice", "rcs"]))
    id_ = journeys.start(*rules)
    if way in {"refused", "failed_receipt"}:
        journeys.move(111_000)
    journeys.to_the_end(id_)
    assert journeys.upstream.took == ["sms"]


def test_a_late_receipt_neither_moves_nor_revives_what_followed(journeys: Journeys) -> None:
    """News of the first message after the second has left is written down, and changes nothing else."""
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
