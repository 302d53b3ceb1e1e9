"""What is noted of a send, a check and a delivery: each act once, with what figures and stories need of it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from otp_service.challenge.model import State
from otp_service.challenge.transitions import Next
from otp_service.errors import OtpError, WrongCode
from otp_service.figures.counting import count_note
from otp_service.history.note import Note, What
from otp_service.policy import Budget, Guard, Window
from otp_service.upstream.port import Outcome, Receipt, Stage, Verdict
from otp_service.verification.resend import ResendRequest
from otp_service.verification.send import SendRequest
from tests.support.spine import NUMBERS, OPEN, STEPS, Phone, Spine, claimed, open_spine, seen
from tests.support.valkey_server import ValkeyServer

REFUSED = Outcome(Verdict.REFUSED, "bad_number")
STRICT = replace(OPEN, number=Budget(refuse=(Window(1, 3600),)))


class Ear:
    """A listener of a spine's journal."""

    def __init__(self, spine: Spine) -> None:
        self._spine = spine
        self._notes: list[Note] = []
        spine.journal.listen(self._notes.extend)

    def notes(self) -> list[Note]:
        """Return what was noted since the last call."""
        self._spine.journal.hand_over()
        notes, self._notes[:] = self._notes[:], []
        return notes

    def whats(self) -> list[str]:
        """Return the same in short: what happened, and its result or reason."""
        return [f"{note.what} {note.result or note.reason}".strip() for note in self.notes()]


@pytest.fixture
def spine(valkey: ValkeyServer) -> Iterator[Spine]:
    """Give the use cases."""
    with open_spine(valkey) as made:
        yield made


@pytest.fixture
def ear(spine: Spine) -> Ear:
    """Give a listener of them."""
    return Ear(spine)


def delivered(spine: Spine, id_: str) -> str:
    """Let a worker send what is due; gives the code."""
    spine.dispatcher.dispatch(id_, lambda: False)
    return spine.phone.next()[1]


def other(code: str) -> str:
    """Give a wrong code."""
    return f"{(int(code) + 1) % 10**6:06d}"


def test_a_send_that_is_let_in_is_asked_and_admitted(spine: Spine, ear: Ear) -> None:
    """Both name the challenge and the number; the plan, the route and the policy's version are told once."""
    id_ = spine.send.send(spine.caller, SendRequest(to=NUMBERS[0], reference="order-1")).challenge_id
    asked, admitted = ear.notes()
    assert (asked.what, admitted.what) == (What.ASKED, What.ADMITTED)
    for note in (asked, admitted):
        assert (note.challenge, note.number, note.country) == (id_, NUMBERS[0], "US")
        assert (note.request_id, note.reference) == (spine.caller.request_id, "order-1")
    assert (asked.origin, asked.purpose) == ("server", "login")
    assert (admitted.plan, admitted.route) == ("sms:main voice:main", "0")
    assert (admitted.policy, admitted.result, admitted.channel) == (1, "allow", "sms")
    assert admitted.at == seen(spine.store, id_).last.at


def test_a_repeated_send_is_noted_once(spine: Spine, ear: Ear) -> None:
    """The repetition of an Idempotency-Key is no second send."""
    for _ in range(2):
        spine.opened(key="k" * 30)
    assert ear.whats() == ["asked", "admitted allow"]


def test_a_message_is_noted_with_its_account_its_price_and_how_long_it_took(spine: Spine, ear: Ear) -> None:
    """The country, the route and the delivery's place are told with it."""
    id_ = spine.opened()
    ear.notes()
    delivered(spine, id_)
    (sent,) = ear.notes()
    assert (sent.what, sent.result, sent.channel, sent.account) == (What.SENT, "accepted", "sms", "main")
    assert (sent.challenge, sent.place, sent.country, sent.route) == (id_, 0, "US", "0")
    assert sent.price == 1.0
    assert sent.seconds is not None


def test_the_price_is_the_one_that_the_upstream_reported(valkey: ValkeyServer) -> None:
    """A message of two parts costs what its upstream says."""
    with open_spine(valkey, phone=Phone(Outcome(Verdict.ACCEPTED, "accepted", charges=2.5))) as spine:
        ear, id_ = Ear(spine), spine.opened()
        delivered(spine, id_)
        assert [note.price for note in ear.notes() if note.what is What.SENT] == [2.5]


def test_guesses_and_the_end_are_noted_with_the_delivery_that_brought_the_code(
    spine: Spine, ear: Ear
) -> None:
    """A wrong guess, the right one with the seconds from sending, and the end; the code is in none of them."""
    id_ = spine.opened()
    code = delivered(spine, id_)
    ear.notes()
    with pytest.raises(WrongCode):
        spine.check.verify(spine.caller, id_, other(code))
    spine.store.scripts.offset += 5_000
    token = spine.check.verify(spine.caller, id_, code).token
    wrong, right, ended = ear.notes()
    assert (wrong.what, wrong.result, wrong.country) == (What.GUESSED, "wrong", "US")
    assert (right.what, right.result) == (What.GUESSED, "right")
    assert (right.place, right.channel, right.account) == (0, "sms", "main")
    assert right.seconds is not None
    assert right.seconds >= 5
    assert (ended.what, ended.result, ended.challenge) == (What.ENDED, "verified", id_)
    assert code not in f"{wrong}{right}{ended}"
    spine.redeem.redeem(spine.caller, token)
    (redeemed,) = ear.notes()
    assert (redeemed.what, redeemed.token) == (What.REDEEMED, right.token)


def test_the_last_wrong_guess_ends_a_challenge_once(spine: Spine, ear: Ear) -> None:
    """The expiry of an exhausted challenge is no second end."""
    id_ = spine.opened()
    code = delivered(spine, id_)
    ear.notes()
    for _ in range(5):
        with pytest.raises(WrongCode):
            spine.check.verify(spine.caller, id_, other(code))
    with pytest.raises(OtpError):
        spine.check.verify(spine.caller, id_, code)
    spine.store.scripts.offset += 301_000
    spine.dispatcher.dispatch(id_, lambda: False)
    assert seen(spine.store, id_).state is State.EXHAUSTED
    assert ear.whats() == [*["guessed wrong"] * 5, "ended exhausted", "guessed exhausted"]


def test_a_made_up_id_is_not_noted(spine: Spine, ear: Ear) -> None:
    """Or guesses at ids could fill the history."""
    with suppress(OtpError):
        spine.check.verify(spine.caller, "0" * 24, "123456")
    assert ear.notes() == []


def test_a_fallback_is_noted_with_its_reason(valkey: ValkeyServer) -> None:
    """The account that refused, the step that is given up, and the message that replaces it."""
    with open_spine(valkey, phone=Phone(REFUSED)) as spine:
        ear, id_ = Ear(spine), spine.opened()
        ear.notes()
        for _ in range(2):
            delivered(spine, id_)
        refused, fell_back, sent = ear.notes()
        assert (refused.what, refused.result, refused.reason) == (What.NOT_SENT, "refused", "bad_number")
        assert refused.price is None
        assert (fell_back.what, fell_back.channel, fell_back.following) == (What.FELL_BACK, "sms", "voice")
        assert (fell_back.reason, fell_back.place) == ("bad_number", 0)
        assert (sent.what, sent.channel, sent.place) == (What.SENT, "voice", 1)


WAITING = tuple(replace(step, until="delivered") for step in STEPS)
"""Steps that wait for a report."""


def test_a_step_whose_wait_is_over_was_given_up_for_want_of_a_report(valkey: ValkeyServer) -> None:
    """Nothing else went wrong; the note has the moment at which the next message was scheduled."""
    with open_spine(valkey, steps=WAITING) as spine:
        ear, id_ = Ear(spine), spine.opened()
        delivered(spine, id_)
        ear.notes()
        spine.store.scripts.offset += 1000 * seen(spine.store, id_).step.wait
        spine.dispatcher.dispatch(id_, lambda: False)
        (fell_back,) = ear.notes()
        assert (fell_back.what, fell_back.reason) == (What.FELL_BACK, "no_report")
        assert fell_back.at == seen(spine.store, id_).last.at


def test_a_fallback_that_something_else_overtook_is_not_noted(valkey: ValkeyServer) -> None:
    """A report came while a worker decided: it lost its lease, and nothing followed."""
    with open_spine(valkey, steps=WAITING) as spine:
        ear, id_ = Ear(spine), spine.opened()
        delivered(spine, id_)
        spine.store.scripts.offset += 1000 * seen(spine.store, id_).step.wait
        lease = claimed(spine.store, id_)
        upstream_id = lease.challenge.last.upstream_id
        receipt = Receipt(channel="sms", stage=Stage.DELIVERED, reason="delivered", upstream_id=upstream_id)
        spine.receipts.record_receipt("main", receipt)
        ear.notes()
        spine.dispatcher._settle_move(lease, Next(1))  # noqa: SLF001 - what it had decided before
        assert ear.notes() == []
        assert len(seen(spine.store, id_).deliveries) == 1


def test_the_upstreams_own_words_are_noted(valkey: ValkeyServer) -> None:
    """Of the answer to a send, and of a report, also of one that came before that answer."""
    accepted = Outcome(Verdict.ACCEPTED, "accepted", upstream_id="m1", said="AWAITING-DLR")
    early = Receipt(
        channel="sms", stage=Stage.DELIVERED, reason="delivered", upstream_id="m1", said="DELIVRD"
    )
    for comes_first in (True, False):
        with open_spine(valkey, phone=Phone(accepted)) as spine:
            ear, id_ = Ear(spine), spine.opened()
            if comes_first:
                assert spine.receipts.record_receipt("main", early) == "none"
            delivered(spine, id_)
            if not comes_first:
                assert spine.receipts.record_receipt("main", early) == "changed"
            words = [(note.what, note.word) for note in ear.notes() if note.word]
            assert words == [(What.SENT, "AWAITING-DLR"), (What.REPORTED, "DELIVRD")]


def test_a_refused_send_says_rule_counter_and_threshold(valkey: ValkeyServer) -> None:
    """It opened no challenge, so it is known by its request id alone."""
    with open_spine(valkey, guard=STRICT) as spine:
        ear = Ear(spine)
        spine.opened()
        ear.notes()
        second = replace(spine.caller, request_id="f" * 16)
        with pytest.raises(OtpError):
            spine.send.send(second, SendRequest(to=NUMBERS[0]))
        asked, refused = ear.notes()
        assert (asked.what, refused.what) == (What.ASKED, What.REFUSED)
        assert refused.challenge == ""
        assert (refused.request_id, refused.number, refused.country) == ("f" * 16, NUMBERS[0], "US")
        assert (refused.reason, refused.rule) == ("too_many_requests", "number")
        assert (refused.counter, refused.threshold, refused.window) == (1, 1, 3600)
        assert {asked.route, refused.route} == {"0"}


def test_a_send_to_what_is_no_number_is_noted_without_one(spine: Spine, ear: Ear) -> None:
    """Its request id still finds it."""
    with pytest.raises(OtpError):
        spine.send.send(spine.caller, SendRequest(to="+1"))
    assert ear.whats() == ["asked", "refused invalid_number"]


def test_a_resend_and_its_refusal_belong_to_the_challenge(spine: Spine, ear: Ear) -> None:
    """One that is too early is refused, one in time is noted with its channel."""
    id_ = spine.opened()
    delivered(spine, id_)
    ear.notes()
    with pytest.raises(OtpError):
        spine.resend.resend(spine.caller, id_)
    spine.store.scripts.offset += 31_000
    spine.resend.resend(spine.caller, id_, ResendRequest(channel="voice"))
    refused, resent = ear.notes()
    assert (refused.what, refused.reason, refused.challenge) == (What.REFUSED, "resend_too_early", id_)
    assert (resent.what, resent.channel, resent.place, resent.challenge) == (What.RESENT, "voice", 1, id_)


def test_a_report_is_noted_with_the_status_that_it_gives(spine: Spine, ear: Ear) -> None:
    """A repeated one changes nothing and is not noted."""
    id_ = spine.opened()
    delivered(spine, id_)
    ear.notes()
    upstream_id = seen(spine.store, id_).last.upstream_id
    receipt = Receipt(channel="sms", stage=Stage.DELIVERED, reason="delivered", upstream_id=upstream_id)
    for _ in range(2):
        spine.receipts.record_receipt("main", receipt)
    (reported,) = ear.notes()
    assert (reported.what, reported.result, reported.country) == (What.REPORTED, "delivered", "US")
    assert (reported.challenge, reported.channel, reported.account) == (id_, "sms", "main")


def test_cancelling_twice_ends_once(spine: Spine, ear: Ear) -> None:
    """Only the call that ended it is noted."""
    id_ = spine.opened()
    ear.notes()
    for _ in range(2):
        spine.manage.cancel(spine.caller, id_)
    assert ear.whats() == ["ended cancelled"]


def test_an_expired_challenge_is_noted(spine: Spine, ear: Ear) -> None:
    """With the state in which it ended."""
    id_ = spine.opened()
    delivered(spine, id_)
    ear.notes()
    spine.store.scripts.offset += 301_000
    spine.dispatcher.dispatch(id_, lambda: False)
    assert ear.whats() == ["ended expired"]


def swept(spine: Spine) -> None:
    """End in bulk what has expired."""
    while spine.expiry.sweep(spine.store.partitions.names(), threading.Event()):
        pass


def test_what_expires_in_bulk_is_noted_with_country_and_route(spine: Spine, ear: Ear) -> None:
    """As any other end, and counted once; what is exhausted was noted with its last guess."""
    id_ = spine.opened()
    delivered(spine, id_)
    exhausted = spine.opened(NUMBERS[1])
    code = delivered(spine, exhausted)
    for _ in range(5):
        with pytest.raises(WrongCode):
            spine.check.verify(spine.caller, exhausted, other(code))
    ear.notes()
    spine.store.scripts.offset += 301_000
    swept(spine)
    swept(spine)
    (ended,) = ear.notes()
    assert (ended.what, ended.result, ended.challenge) == (What.ENDED, "expired", id_)
    assert (ended.app, ended.country, ended.route) == ("web", "US", "0")
    counts = {"app": "web", "result": "expired"}
    assert spine.metrics.registry.get_sample_value("otp_challenges_total", counts) == 1


def cancelled(spine: Spine) -> None:
    """Ask again too early, and cancel."""
    id_ = spine.opened()
    delivered(spine, id_)
    with pytest.raises(OtpError):
        spine.resend.resend(spine.caller, id_)
    spine.manage.cancel(spine.caller, id_)


def undeliverable(spine: Spine) -> None:
    """Have every account refuse."""
    spine.breakers.record_fault("main", "sms", 600, 1)
    id_ = spine.opened()
    delivered(spine, id_)
    spine.dispatcher.dispatch(id_, lambda: False)


def fallen_back(spine: Spine) -> None:
    """Fall back, expire."""
    id_ = spine.opened()
    for _ in range(2):
        delivered(spine, id_)
    spine.store.scripts.offset += 301_000
    spine.dispatcher.dispatch(id_, lambda: False)


def not_charged(spine: Spine) -> None:
    """Have the guard refuse the message that would replace the first one."""
    id_ = spine.opened()
    delivered(spine, id_)
    spine.receipts.record_receipt(
        "main", Receipt(channel="sms", stage=Stage.FAILED, reason="undelivered", upstream_id="m1")
    )
    for _ in range(2):
        spine.dispatcher.dispatch(id_, lambda: False)


@pytest.mark.parametrize(
    ("phone", "play", "guard"),
    [
        (Phone(), cancelled, OPEN),
        (Phone(REFUSED, REFUSED), undeliverable, OPEN),
        (Phone(REFUSED), fallen_back, OPEN),
        (Phone(Outcome(Verdict.ACCEPTED, "accepted", upstream_id="m1")), not_charged, STRICT),
    ],
)
def test_all_that_figures_count_of_a_challenge_has_country_and_route(
    valkey: ValkeyServer, phone: Phone, play: Callable[[Spine], None], guard: Guard
) -> None:
    """So that no breakdown has a row of its own for what is known."""
    with open_spine(valkey, phone=phone, guard=guard) as spine:
        ear = Ear(spine)
        play(spine)
        cells = [
            (cell.what, cell.app, cell.country, cell.route)
            for note in ear.notes()
            for cell, _ in count_note(note)
            if note.challenge and note.what is not What.ASKED
        ]
        assert len(cells) >= 3
        assert {cell[1:] for cell in cells} == {("web", "US", "0")}, cells


def test_steps_that_are_passed_over_are_noted(spine: Spine, ear: Ear) -> None:
    """A breaker that is open leaves no account."""
    spine.breakers.record_fault("main", "sms", 600, 1)
    id_ = spine.opened()
    ear.notes()
    delivered(spine, id_)
    skipped, sent = ear.notes()
    assert (skipped.what, skipped.channel, skipped.reason) == (What.SKIPPED, "sms", "no_account")
    assert (sent.what, sent.channel) == (What.SENT, "voice")


def test_a_fallback_that_the_guard_refuses_is_noted_with_its_rule(valkey: ValkeyServer) -> None:
    """It belongs to the challenge whose message it would have been."""
    outcomes: Sequence[Outcome] = [Outcome(Verdict.ACCEPTED, "accepted", upstream_id="m1")]
    guard: Guard = replace(OPEN, number=Budget(refuse=(Window(1, 3600),)))
    with open_spine(valkey, guard=guard, phone=Phone(*outcomes)) as spine:
        ear, id_ = Ear(spine), spine.opened()
        delivered(spine, id_)
        failed = Receipt(channel="sms", stage=Stage.FAILED, reason="undelivered", upstream_id="m1")
        spine.receipts.record_receipt("main", failed)
        ear.notes()
        for _ in range(2):
            spine.dispatcher.dispatch(id_, lambda: False)
        fell_back, refused, *_ = ear.notes()
        assert fell_back.what is What.FELL_BACK
        assert (refused.what, refused.rule, refused.challenge) == (What.REFUSED, "number", id_)
        assert (refused.channel, refused.known, refused.policy) == ("voice", "server", 1)
