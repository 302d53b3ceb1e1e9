"""A check whose answer was lost is repeated at another process, or meets the first one on its way."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from otp_service.bootstrap.core import Core
from otp_service.challenge.guess import LEASE
from otp_service.challenge.model import State
from otp_service.challenge.store import ChallengeStore
from otp_service.crypto.code_hashes import Claim, Hasher
from otp_service.errors import Busy, ChallengeNotFound, StoreUnavailable, WrongCode
from otp_service.verification.caller import Caller
from otp_service.verification.check import Check
from otp_service.verification.send import SendRequest
from tests.support.other_process import NUMBER, ChosenUpstream, other_process, running
from tests.support.spine import stand_still

KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"


def sent(core: Core, caller: Caller) -> tuple[str, str]:
    """Send a code. Return the challenge's id and the code."""
    id_, upstream = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id, ChosenUpstream()
    other_process(core, upstream).dispatcher.dispatch(id_, running)
    return id_, upstream.texts[0][:6]


def checking(
    core: Core,
    hasher: Hasher,
    sleep: Callable[[float], None],
    challenges: "ChallengeStore | _Halfway | None" = None,
) -> Check:
    """Make the use case with another hasher, and with a sleep and a store that a test chooses."""
    return Check(
        challenges=challenges or core.store.challenges,  # type: ignore[arg-type]
        hasher=hasher,
        seal=core.seal,
        signer=core.signer,
        admission=core.admission,
        outbox=core.outbox,
        journal=core.journal,
        metrics=core.metrics,
        sleep=sleep,
    )


class Meanwhile(Hasher):
    """A hasher during whose work something else happens."""

    def __init__(self, core: Core, act: Callable[[], object]) -> None:
        super().__init__(core.settings.peppers, "testing", 1)
        self._act = act

    def hash(self, code: str, claim: Claim, scheme: str) -> str:
        """Let it happen, then hash."""
        self._act()
        return super().hash(code, claim, scheme)


def awake(_: float) -> None:
    """Stand in for a sleep that would only take time."""


@pytest.mark.parametrize("lacking", ["peppers", "number_keys"])
def test_a_process_that_cannot_check_counts_no_guess(core: Core, caller: Caller, lacking: str) -> None:
    """However often the right code meets it, the code is accepted where the keys are."""
    id_, code = sent(core, caller)
    without = other_process(core, None, **{lacking: {"other": b"2" * 32}})
    for _ in range(9):
        with pytest.raises(Busy):
            without.check.verify(caller, id_, code, idempotency_key=KEY)
    assert core.manage.status(caller, id_).checks_left == 5
    assert core.check.verify(caller, id_, code, idempotency_key=KEY).token


@pytest.mark.parametrize("first", ["old", "new"])
def test_another_process_gives_the_same_answer_while_keys_are_rotated(
    core: Core, caller: Caller, first: str
) -> None:
    """One process has the new lookup and signing keys in front, the other still the old ones."""
    rings = {
        ring: {**getattr(core.settings, ring), "new": b"n" * 32} for ring in ("lookup_keys", "signing_keys")
    }
    turned = {ring: dict(reversed(keys.items())) for ring, keys in rings.items()}
    processes = [other_process(core, None, **rings), other_process(core, None, **turned)]
    if first == "new":
        processes.reverse()
    id_, code = sent(core, caller)
    wrong = "000000" if code != "000000" else "000001"
    for process in processes:
        with pytest.raises(WrongCode) as caught:
            process.check.verify(caller, id_, wrong, idempotency_key="wrong")
        assert caught.value.checks_left == 4
    tokens = [p.check.verify(caller, id_, code, idempotency_key=KEY).token for p in processes]
    assert tokens[0] == tokens[1]


def test_a_process_without_the_tokens_key_says_so(core: Core, caller: Caller) -> None:
    """It cannot sign the first answer again; another process can."""
    id_, code = sent(core, caller)
    token = core.check.verify(caller, id_, code, idempotency_key=KEY).token
    without = other_process(core, None, signing_keys={"s2": b"2" * 32})
    with pytest.raises(Busy):
        without.check.verify(caller, id_, code, idempotency_key=KEY)
    assert core.check.verify(caller, id_, code, idempotency_key=KEY).token == token


def test_a_repetition_waits_for_the_answer_of_the_first(core: Core, caller: Caller) -> None:
    """Shortly; then it is told to come again, and nothing was counted."""
    id_, code = sent(core, caller)
    pauses: list[float] = []
    began = core.store.facts.time()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        stand_still(core.store, began)  # or the first would be thought dead on a slow machine

    impatient = checking(core, core.hasher, pause)

    def repeat() -> None:
        with pytest.raises(Busy) as caught:
            impatient.verify(caller, id_, code, idempotency_key=KEY)
        assert caught.value.retry_after == 1

    first = checking(core, Meanwhile(core, repeat), awake)
    token = first.verify(caller, id_, code, idempotency_key=KEY).token
    assert pauses == sorted(pauses)
    assert 0.5 < sum(pauses) < 1
    assert core.check.verify(caller, id_, code, idempotency_key=KEY).token == token
    assert core.store.challenges.read_challenge(id_)[1] is not None


@pytest.mark.parametrize("same", [True, False])
def test_a_process_that_comes_too_late_gives_the_answer_of_the_repetition(
    core: Core, caller: Caller, *, same: bool
) -> None:
    """It was thought dead, and a repetition won with the same key. Against another key it has lost."""
    id_, code = sent(core, caller)
    tokens: list[str] = []

    def overtake() -> None:
        core.scripts.offset += LEASE
        key = KEY if same else "another"
        tokens.append(core.check.verify(caller, id_, code, idempotency_key=key).token)

    late = checking(core, Meanwhile(core, overtake), awake)
    if same:
        assert late.verify(caller, id_, code, idempotency_key=KEY).token == tokens[0]
    else:
        with pytest.raises(ChallengeNotFound):
            late.verify(caller, id_, code, idempotency_key=KEY)


def test_an_older_key_and_a_newer_caller_kind_stay_apart(core: Core, caller: Caller) -> None:
    """The same key of a page is another key: it gets what a used code gets."""
    id_, code = sent(core, caller)
    core.check.verify(caller, id_, code, idempotency_key=KEY)
    page = replace(caller, address="192.0.2.1")
    with pytest.raises(ChallengeNotFound):
        core.check.verify(page, id_, code, idempotency_key=KEY)


def test_a_guess_that_replicas_may_forget_is_counted_and_checked_later(core: Core, caller: Caller) -> None:
    """No replica follows: the answer is 503. The repetition takes the guess over, and is not counted again."""
    id_, code = sent(core, caller)
    waiting = other_process(core, None, redis_wait_replicas=1, redis_wait_ms=10)
    for _ in range(3):
        with pytest.raises(StoreUnavailable) as caught:
            waiting.check.verify(caller, id_, code, idempotency_key=KEY)
        assert "Idempotency-Key" in caught.value.detail
        assert core.manage.status(caller, id_).checks_left == 4
    assert core.check.verify(caller, id_, code, idempotency_key=KEY).token


def test_a_success_that_replicas_may_forget_is_answered_when_they_have_it(core: Core, caller: Caller) -> None:
    """The code is spent and no token leaves, until a repetition is confirmed; then it is the first one's token."""
    id_, code = sent(core, caller)
    waiting = other_process(core, None, redis_wait_replicas=1, redis_wait_ms=10)
    halfway = _Halfway(core.store.challenges, waiting.store.challenges)
    half = checking(core, core.hasher, awake, halfway)
    with pytest.raises(StoreUnavailable):
        half.verify(caller, id_, code, idempotency_key=KEY)
    assert core.manage.status(caller, id_).status is State.VERIFIED
    for _ in range(6):
        with pytest.raises(StoreUnavailable):
            waiting.check.verify(caller, id_, code, idempotency_key=KEY)
    with pytest.raises(ChallengeNotFound):
        core.check.verify(caller, id_, code)
    assert core.check.verify(caller, id_, code, idempotency_key=KEY).token


class _Halfway:
    """Challenges whose replicas confirm a guess and then nothing more."""

    def __init__(self, sure: ChallengeStore, unsure: ChallengeStore) -> None:
        self.take_attempt = sure.take_attempt
        self.record_answer = sure.record_answer
        self.finish = unsure.finish
