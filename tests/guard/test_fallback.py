"""Messages that the service sends by itself are charged too: fallbacks, and what replaces a refused message."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from otp_service.challenge.model import Challenge, State, Status, Step
from otp_service.errors import TooManyRequests
from otp_service.guard.limiter import Allowance
from otp_service.guard.pins import PinNames
from otp_service.guard.rules import lines_of_send
from otp_service.upstream.port import Outcome, Verdict
from otp_service.verification.resend import ResendRequest
from otp_service.verification.send import SendRequest
from tests.support.counters import asked, only
from tests.support.spine import NUMBERS, Phone, Spine, open_spine, seen
from tests.support.valkey_server import ValkeyServer

ROUTE = tuple(Step(channel, ("main",), 30) for channel in ("sms", "whatsapp", "voice"))


@dataclass
class Chain:
    """A service whose route has three steps, and whose messages leave but do not arrive."""

    spine: Spine
    by: list[str] = field(default_factory=list)
    """The channels by which messages left."""

    def start(self, number: str = NUMBERS[0], **more: Any) -> str:  # noqa: ANN401 - as SendRequest
        """Send, and give the challenge's id."""
        return self.spine.send.send(self.spine.caller, SendRequest(to=number, **more)).challenge_id

    def again(self, id_: str, channel: str | None = None) -> None:
        """Resend as soon as it is allowed."""
        self.spine.store.scripts.offset += 61_000
        self.spine.resend.resend(self.spine.caller, id_, ResendRequest(channel=channel))

    def run(self, id_: str) -> Challenge:
        """Let a challenge go through all of its route, and give its end."""
        for _ in range(2 * len(ROUTE) + 1):
            self.spine.dispatcher.dispatch(id_, lambda: False)
            newest = seen(self.spine.store, id_).last
            if newest.status is Status.ACCEPTED:
                self.by.append(newest.channel)
                self.spine.store.challenges.record_receipt(
                    id_,
                    "main",
                    upstream_id="",
                    reference=newest.reference,
                    status=Status.FAILED,
                    reason="absent",
                )
        return seen(self.spine.store, id_)


@contextmanager
def chain(
    valkey: ValkeyServer,
    tables: Mapping[str, Mapping[str, Any]],
    *outcomes: Outcome,
    **more: Any,  # noqa: ANN401
) -> Iterator[Chain]:
    """Give a service with three channels whose upstream gives some answers in turn, then accepts."""
    with open_spine(valkey, guard=only(tables, **more), steps=ROUTE, phone=Phone(*outcomes)) as spine:
        yield Chain(spine)


@pytest.mark.parametrize("rule", ["number", "prefix", "country", "app", "everything"])
def test_every_message_that_leaves_is_counted(valkey: ValkeyServer, rule: str) -> None:
    """Fallback messages too. If there is no room for one, the challenge ends with what it had."""
    with chain(valkey, {rule: {"refuse": ["2/h"]}}) as sends:
        ended = sends.run(sends.start())
        assert sends.by == ["sms", "whatsapp"]
        assert ended.state is State.UNDELIVERABLE
        with pytest.raises(TooManyRequests):
            sends.start(NUMBERS[0] if rule == "number" else NUMBERS[0][:-1] + "0")


def test_a_fallback_does_not_count_as_requested_by_its_caller(valkey: ValkeyServer) -> None:
    """No cooldown applies, and no human check is required."""
    tables: dict[str, dict[str, Any]] = {
        "address": {"refuse": ["2/h"]},
        "session": {"refuse": ["2/h"]},
        "app": {"human_check": ["1/h"]},
        "cooldown": {},
        "conversion": {"sends": 1, "share": 0.5},
        "standing": {"unverified": 1},
    }
    with chain(valkey, tables) as sends:
        sends.run(sends.start(session="s"))
        assert sends.by == ["sms", "whatsapp", "voice"]


def test_a_message_that_an_upstream_refused_is_not_counted_twice(valkey: ValkeyServer) -> None:
    """It never left. The message that replaces it uses its charge, in messages and in money."""
    refused = Outcome(Verdict.REFUSED, "not_allowed")
    tables: dict[str, dict[str, Any]] = {
        "number": {"refuse": ["2/h"]},
        "money": {"refuse": ["100/h"], "prices": {"sms": 5, "whatsapp": 2}},
    }
    with chain(valkey, tables, refused) as sends:
        sends.run(sends.start())
        assert sends.by == ["whatsapp", "voice"]
        look = sends.spine.limiter.preview(
            lines_of_send(only({"money": tables["money"]}), asked(channel="push")), Allowance(), PinNames()
        )
        assert look.standing is not None
        assert look.standing.left == 100 - 2 - 1 - 1


def test_a_send_admitted_as_cheap_goes_over_cheap_channels_only(valkey: ValkeyServer) -> None:
    """A resend takes the next cheap channel, and no expensive one follows if it fails."""
    with chain(valkey, {"number": {"cheap": ["1/h"]}}, cheap_channels=("voice",)) as sends:
        id_ = sends.start()
        sends.spine.dispatcher.dispatch(id_, lambda: False)
        with pytest.raises(TooManyRequests):
            sends.again(id_, "whatsapp")
        sends.again(id_)
        assert seen(sends.spine.store, id_).last.only == ("voice",)
        sends.run(id_)
        assert sends.by == ["voice"]


def test_a_fallback_skips_expensive_channels_if_only_cheap_ones_are_allowed(valkey: ValkeyServer) -> None:
    """So does the fallback after it."""
    for cheap, by in (
        (("voice",), ["sms", "voice"]),
        (("whatsapp",), ["sms", "whatsapp"]),
        (("rcs",), ["sms"]),
    ):
        with chain(valkey, {"number": {"cheap": ["1/h"]}}, cheap_channels=cheap) as sends:
            sends.run(sends.start())
            assert sends.by == by


def test_a_deferred_fallback_is_counted_once(valkey: ValkeyServer) -> None:
    """It is the same message, sent later."""
    taken, later = Outcome(Verdict.ACCEPTED, "accepted"), Outcome(Verdict.DEFERRED, "later", retry_after=15)
    with chain(valkey, {"number": {"refuse": ["2/h"]}}, taken, later) as sends:
        id_ = sends.start()
        sends.run(id_)
        sends.spine.store.scripts.offset += 16_000
        sends.run(id_)
        assert (sends.by, sends.spine.phone.inbox.qsize()) == (["sms", "whatsapp"], 3)


def test_a_right_code_takes_back_no_more_than_was_charged(valkey: ValkeyServer) -> None:
    """Not for a fallback that the guard had no room for: it would make room for a message that is not proven."""
    tables = {"number": {"refuse": ["1/h"]}, "unproven": {"refuse": ["2/h"]}}
    with chain(valkey, tables) as sends:
        spine = sends.spine
        sends.start(NUMBERS[1])
        id_ = sends.start()
        spine.dispatcher.dispatch(id_, lambda: False)
        spine.store.scripts.offset += 31_000
        for _ in range(2):
            spine.dispatcher.dispatch(id_, lambda: False)
        assert [one.status for one in seen(spine.store, id_).deliveries] == [Status.ACCEPTED, Status.REFUSED]
        spine.check.verify(spine.caller, id_, spine.phone.next()[1])
        sends.start(NUMBERS[2])
        with pytest.raises(TooManyRequests):
            sends.start(NUMBERS[3])
