"""A send that the store loses between its charge and its storing leaves no charge behind."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from otp_service.errors import StoreUnavailable, TooManyRequests
from otp_service.policy import Budget, Window
from otp_service.policy.limits import Cooldown, HumanRules
from otp_service.store.replication import NOT_REPLICATED, Durability
from otp_service.store.sources import Call
from otp_service.verification.refunds import PATIENCE, REPEATED_WITHIN, Refunds
from otp_service.verification.resend import ResendRequest
from otp_service.verification.send import SendRequest
from tests.support.fault_server import FaultServer, http_json, say
from tests.support.spine import NUMBERS, OPEN, PatientScripts, Spine, make_spine, seen
from tests.support.valkey_server import ValkeyServer

COOLDOWN = 30
STRICT = replace(OPEN, cooldown=Cooldown(ladder=(COOLDOWN, 60)))


def _nothing() -> None:
    """Do nothing."""


class Failing(PatientScripts):
    """Scripts of which one finds the store away, before or after it has run."""

    def __init__(self, server: ValkeyServer) -> None:
        super().__init__(server)
        self.away, self.but_runs = frozenset[str](), False
        self.before: dict[str, Callable[[], None]] = {}
        """What happens once before a script runs."""

    def _run(self, *calls: Call, durability: Durability = NOT_REPLICATED) -> list[Any]:
        """Run scripts, or fail."""
        for call in calls:
            self.before.pop(call.name, _nothing)()
        if not self.away & {call.name for call in calls}:
            return super()._run(*calls, durability=durability)
        if self.but_runs:
            super()._run(*calls, durability=durability)
        raise StoreUnavailable(retry_after=2)


@pytest.fixture
def failing(valkey: ValkeyServer) -> Iterator[Failing]:
    """Give scripts that can fail."""
    scripts = Failing(valkey)
    yield scripts
    scripts.close()


class Clock:
    """The clock of a process: seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give the clock by which the process of `spine` waits with its refunds."""
    return Clock()


@pytest.fixture
def spine(failing: Failing, clock: Clock) -> Spine:
    """Give the use cases with the usual cooldown."""
    return make_spine(failing, guard=STRICT, clock=clock)


def lose(
    spine: Spine, failing: Failing, *scripts: str, but_runs: bool = False, key: str | None = None
) -> None:
    """Send while some scripts fail, and see what the caller is told."""
    failing.away, failing.but_runs = frozenset(scripts), but_runs
    with pytest.raises(
        StoreUnavailable, match="with the same Idempotency-Key: then it is charged and sent once"
    ):
        spine.opened(NUMBERS[0], key)
    failing.away = frozenset()


def work(spine: Spine) -> None:
    """Let the process look as often as it needs."""
    for _ in range(2):
        spine.refunds.work()


@pytest.mark.parametrize(("script", "but_runs"), [("open", False), ("guard", False), ("guard", True)])
def test_a_message_that_was_not_stored_is_not_charged(
    spine: Spine, failing: Failing, script: str, *, but_runs: bool
) -> None:
    """Wherever the store failed: the next send meets no cooldown of a message that never came."""
    lose(spine, failing, script, but_runs=but_runs)
    work(spine)
    spine.opened(NUMBERS[0])


def test_without_the_refund_the_charge_would_stay(spine: Spine, failing: Failing) -> None:
    """The premise of the tests here: until it is given back, a charge holds. One look is not enough to give it back."""
    lose(spine, failing, "open")
    for _ in range(2):
        with pytest.raises(TooManyRequests):
            spine.opened(NUMBERS[0])
        spine.refunds.work()
    spine.opened(NUMBERS[0])


def test_a_message_that_was_stored_after_all_stays_charged(spine: Spine, failing: Failing) -> None:
    """Only the answer was lost: the message goes out, so its cooldown holds."""
    lose(spine, failing, "open", but_runs=True)
    work(spine)
    with pytest.raises(TooManyRequests):
        spine.opened(NUMBERS[0])


def test_a_refund_waits_for_the_store(spine: Spine, failing: Failing) -> None:
    """While the store is away nothing is decided; afterwards the charge is given back."""
    lose(spine, failing, "open")
    failing.away = frozenset({"read_with_time"})
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            spine.refunds.work()
    failing.away = frozenset()
    work(spine)
    spine.opened(NUMBERS[0])


@pytest.mark.parametrize("script", ["open", "guard"])
@pytest.mark.parametrize("seconds", [2, 45])
def test_the_same_key_is_charged_and_sent_once(
    spine: Spine, failing: Failing, script: str, seconds: int
) -> None:
    """The repetition is sent, also after an outage of most of a minute. Its charge is not given back in between."""
    lose(spine, failing, script, but_runs=script == "guard", key="a-key")
    work(spine)
    failing.offset += 1000 * seconds
    id_ = spine.opened(NUMBERS[0], "a-key")
    work(spine)
    assert spine.opened(NUMBERS[0], "a-key") == id_
    if seconds < COOLDOWN:
        with pytest.raises(TooManyRequests):
            spine.opened(NUMBERS[0])


def test_a_repetition_needs_no_new_token_of_a_vendor(failing: Failing) -> None:
    """A vendor accepts each token of a human check once, and the send that it let in is charged already."""
    with FaultServer() as vendor:
        rules = replace(
            OPEN,
            app=Budget(human_check=(Window(1, 3600),)),
            human_check=HumanRules(kind="siteverify", url=f"{vendor.url}siteverify"),
        )
        spine = make_spine(failing, guard=rules)
        spine.opened(NUMBERS[1])
        request = SendRequest(to=NUMBERS[0], human_proof="token-of-the-page")
        vendor.play(say(http_json({"success": True})))
        failing.away = frozenset({"open"})
        with pytest.raises(StoreUnavailable):
            spine.send.send(spine.caller, request, "a-key")
        failing.away = frozenset()
        vendor.play(say(http_json({"success": False, "error-codes": ["timeout-or-duplicate"]})))
        assert spine.send.send(spine.caller, request, "a-key").challenge_id


@pytest.mark.parametrize(("script", "but_runs"), [("open", False), ("guard", True)])
def test_a_key_that_is_not_repeated_keeps_no_charge(
    spine: Spine, failing: Failing, clock: Clock, script: str, *, but_runs: bool
) -> None:
    """After a while the next send meets no cooldown of a message that never came; not before, for the repetition."""
    lose(spine, failing, script, but_runs=but_runs, key="a-key")
    clock.now = REPEATED_WITHIN - 1
    work(spine)
    with pytest.raises(TooManyRequests):
        spine.opened(NUMBERS[0])
    clock.now = REPEATED_WITHIN
    work(spine)
    spine.opened(NUMBERS[0])


def test_a_repetition_keeps_the_charge_that_its_first_try_left(
    spine: Spine, failing: Failing, clock: Clock
) -> None:
    """The first try waits longer than for its repetition, and finds that the message is stored."""
    lose(spine, failing, "open", key="a-key")
    spine.opened(NUMBERS[0], "a-key")
    clock.now = REPEATED_WITHIN
    work(spine)
    with pytest.raises(TooManyRequests):
        spine.opened(NUMBERS[0])


def test_a_repetition_that_is_under_way_owns_the_charge(spine: Spine, failing: Failing, clock: Clock) -> None:
    """It was admitted, but has not stored its message yet when the first try gives up waiting for it."""
    lose(spine, failing, "open", key="a-key")
    clock.now = REPEATED_WITHIN
    spine.refunds.work()
    failing.before["open"] = spine.refunds.work
    spine.opened(NUMBERS[0], "a-key")
    assert not failing.before
    with pytest.raises(TooManyRequests):
        spine.opened(NUMBERS[0])


def test_a_repetition_that_fails_takes_nothing_from_the_first_try(
    spine: Spine, failing: Failing, clock: Clock
) -> None:
    """The client did not wait for the answer: both were under way, and the first one stored the message."""
    failing.before["open"] = lambda: lose(spine, failing, "open", key="a-key")
    spine.opened(NUMBERS[0], "a-key")
    clock.now = REPEATED_WITHIN
    work(spine)
    with pytest.raises(TooManyRequests):
        spine.opened(NUMBERS[0])


def test_another_request_with_the_same_key_is_no_repetition(
    spine: Spine, failing: Failing, clock: Clock
) -> None:
    """It is another operation, whose message says nothing of the one that failed."""
    lose(spine, failing, "open", key="a-key")
    spine.opened(NUMBERS[1], "a-key")
    clock.now = REPEATED_WITHIN
    work(spine)
    spine.opened(NUMBERS[0])


def test_a_repetition_that_fails_too_gives_the_charge_back(
    spine: Spine, failing: Failing, clock: Clock
) -> None:
    """Whoever came last owns it: once, and as long as the guard remembers it."""
    lose(spine, failing, "open", key="a-key")
    clock.now = 20
    lose(spine, failing, "open", key="a-key")
    clock.now = REPEATED_WITHIN
    work(spine)
    with pytest.raises(TooManyRequests):
        spine.opened(NUMBERS[0])
    clock.now = 20 + REPEATED_WITHIN
    work(spine)
    spine.opened(NUMBERS[0])


def test_a_lost_resend_is_given_back_too(spine: Spine, failing: Failing) -> None:
    """The same for another message of a challenge, unless it was added."""
    id_ = spine.opened(NUMBERS[0])
    failing.offset += 1000 * COOLDOWN
    for but_runs in (False, True):
        failing.away, failing.but_runs = frozenset({"resend"}), but_runs
        with pytest.raises(StoreUnavailable, match="Idempotency-Key"):
            spine.resend.resend(spine.caller, id_, ResendRequest())
        failing.away = frozenset()
        work(spine)
    assert len(seen(spine.store, id_).deliveries) == 2
    with pytest.raises(TooManyRequests):
        spine.opened(NUMBERS[0])


def test_refunds_are_forgotten_in_time() -> None:
    """A charge that the guard no longer remembers cannot be given back: it is dropped, and memory is bounded."""
    now, asked = [0.0], list[str]()
    refunds = Refunds(lambda: now[0])

    def is_done() -> bool:
        asked.append("asked")
        return False

    def give_back() -> None:
        asked.append("given")

    with (
        pytest.raises(StoreUnavailable),
        refunds.after_failure(is_done=is_done, give_back=give_back, keyed=False),
    ):
        raise StoreUnavailable(retry_after=2)
    refunds.work()
    assert asked == ["asked"]
    now[0] += PATIENCE + 1
    refunds.work()
    refunds.work()
    assert asked == ["asked"]
