"""Small steps that use cases share: opening what was sealed, logging what happened, judging an account.

Must not know who works on a challenge or why.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from otp_service import phone
from otp_service.challenge.model import Challenge
from otp_service.crypto.code_hashes import Hasher
from otp_service.crypto.sealing import Seal, Unsealable
from otp_service.errors import Busy, StoreUnavailable
from otp_service.policy import TOLERANCE
from otp_service.policy.active import ActivePolicy
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream import faults as health
from otp_service.upstream.breakers import WHOLE, Breakers
from otp_service.upstream.port import Outcome


@contextmanager
def hash_slot(hasher: Hasher, metrics: Metrics, timeout: float | None) -> Iterator[None]:
    """Hold one of the places to hash. Raises Busy when none is free within `timeout` seconds."""
    with metrics.hash_waiting.track_inprogress():
        hasher.acquire(timeout)
    try:
        yield
    finally:
        hasher.release()


class Sealed(NamedTuple):
    """What a challenge keeps of people: the number, the address and session that a server named, the binding."""

    e164: str
    address: str = ""
    session: str = ""
    binding: str = ""


def sealed(seal: Seal, id_: str, what: Sealed) -> str:
    """Seal it for a challenge's id. Only the last part may hold any sign."""
    return seal.close("\n".join(what), id_)


def unseal(seal: Seal, challenge: Challenge) -> Sealed:
    """Give what `sealed` took.

    Raises Busy for what was sealed with a key that this process lacks: while keys are rotated another may hold it.
    """
    try:
        return Sealed(*seal.open(challenge.sealed, challenge.id).split("\n", maxsplit=3))
    except Unsealable:
        log("challenge.unreadable", logging.ERROR, challenge=challenge.id[:8])
        raise Busy("This process does not hold the challenge's key. Try again.", retry_after=2) from None


def report(name: str, challenge: Challenge, e164: str, **fields: object) -> None:
    """Log what happened to a challenge. Eight signs of its id tell it apart; the whole is its holder's secret."""
    log(name, logging.INFO, challenge=challenge.id[:8], app=challenge.app, to=phone.mask(e164), **fields)


class Judge:
    """Tells the breakers of upstream accounts how sends, and messages later on, ended."""

    def __init__(self, breakers: Breakers, metrics: Metrics, active: Callable[[], ActivePolicy]) -> None:
        self._breakers = breakers
        self._active = active
        self._metrics = metrics
        self._runs: dict[tuple[str, str], int] = {}

    def hear_report(self, account: str, channel: str, fault: str | None) -> None:
        """Count how a message ended that the account had taken: `fault` is why it failed, None that it arrived.

        An account that takes everything and brings nothing closes its breaker with each message that it takes. So
        reports count for themselves: as many faults of the account in a row as it is allowed, as this process hears
        them, open its breaker at once.
        """
        run = (account, channel)
        if fault is None:
            self._runs.pop(run, None)
        elif fault in health.ACCOUNT_FAULTS:
            self._runs[run] = self._runs.get(run, 0) + 1
            if self._runs[run] >= self._tolerance(account):
                del self._runs[run]
                self._fault(account, channel, fault, health.FIRST_PAUSE)

    def hear(self, account: str, channel: str, outcome: Outcome, *, clean: bool = True) -> None:
        """Count an outcome; nothing is known against a `clean` account, so that its success is no news."""
        sign = health.sign_of(outcome)
        if sign is None or (sign.well and clean):
            return
        if not sign.well:
            self._fault(account, channel, outcome.reason, sign.pause)
            return
        with suppress(StoreUnavailable):  # the next send will tell
            self._breakers.well(account, channel)
            log("breaker.closed", upstream=account, channel=channel)

    def _fault(self, account: str, channel: str, reason: str, pause: float | None) -> None:
        if reason in health.ALARMS:
            log("upstream.alarm", logging.ERROR, upstream=account, channel=channel, reason=reason)
        where = WHOLE if reason in health.WHOLE_ACCOUNT else channel
        with suppress(StoreUnavailable):
            if opened := self._breakers.fault(account, where, pause, self._tolerance(account)):
                self._opened(account, where, reason, opened)

    def _tolerance(self, account: str) -> int:
        known = self._active().policy.upstreams.get(account)
        return known.tolerance if known else TOLERANCE

    def _opened(self, account: str, where: str, reason: str, seconds: float) -> None:
        self._metrics.breaker_openings.labels(account, where, reason).inc()
        log(
            "breaker.opened",
            logging.WARNING,
            upstream=account,
            channel="all" if where == WHOLE else where,
            reason=reason,
            seconds=seconds,
        )
