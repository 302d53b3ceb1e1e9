"""A service with default settings whose clock is the test's: who sends what, when, and what arrives.

Time moves by the store's offset, so that hours pass in seconds; what happens, and when, is the same in every run.
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count
from typing import Any

from otp_service import phone
from otp_service.challenge.model import State
from otp_service.errors import (
    ChallengeNotFound,
    HumanCheckRequired,
    InvalidNumber,
    NoAttemptsLeft,
    TooManyRequests,
    WrongCode,
)
from otp_service.policy import Guard
from otp_service.policy.limits import Countries
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.support.proofs import encoded, proof
from tests.support.spine import Spine, seen

DEFAULTS = Guard(countries=Countries(allow=("US",)))
"""Default settings: an operator has named the country, nothing else."""


@dataclass
class World:
    """A service whose clock is the test's: seconds since the beginning."""

    spine: Spine
    begun: float
    codes: dict[str, str] = field(default_factory=dict)
    """What arrived, by challenge."""
    callers: dict[str, Caller] = field(default_factory=dict)
    """Who asked for it."""
    seconds: float = 0.0

    def at(self, seconds: float) -> None:
        """Let it be so many seconds after the beginning."""
        self.seconds = seconds
        self.spine.store.scripts.offset = int((self.begun + seconds - time.time()) * 1000)

    def send(self, number: str, address: str | None, **more: Any) -> str:  # noqa: ANN401 - as SendRequest
        """Start a challenge and let a worker bring its code; gives its id."""
        caller = replace(self.spine.caller, address=address)
        id_ = self.spine.send.send(caller, SendRequest(to=number, **more)).challenge_id
        self.spine.dispatcher.dispatch(id_, lambda: False)
        to, code = self.spine.phone.next()
        assert to == number
        self.codes[id_], self.callers[id_] = code, caller
        return id_

    def verify(self, id_: str, *, remember_device: bool = False) -> str | None:
        """Type the code that arrived; gives the device token, if one was asked for."""
        won = self.spine.check.verify(
            self.callers[id_], id_, self.codes[id_], remember_device=remember_device
        )
        assert won.view.status is State.VERIFIED
        return won.device_token

    def known(self, id_: str) -> str:
        """Tell as what kind of caller a challenge was asked for."""
        return seen(self.spine.store, id_).known

    def guess(self, id_: str) -> bool:
        """Try a code that is wrong; False if the challenge takes no guess any more."""
        wrong = "".join("1" if digit == "0" else "0" for digit in self.codes[id_])
        try:
            self.spine.check.verify(self.spine.caller, id_, wrong)
        except WrongCode as error:
            return error.checks_left > 0
        except (NoAttemptsLeft, ChallengeNotFound):
            return False
        raise AssertionError("a wrong code was right")


class Agenda:
    """What happens when, in order of time."""

    def __init__(self) -> None:
        self._acts: list[tuple[float, int, Callable[[], None]]] = []
        self._tie = count()

    def plan(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something at a moment."""
        heappush(self._acts, (seconds, next(self._tie), act))

    def play(self, world: World) -> None:
        """Do all of it."""
        while self._acts:
            moment, _, act = heappop(self._acts)
            world.at(moment)
            act()


def honest_numbers(dice: random.Random, wanted: int) -> list[str]:
    """Draw numbers from all over the country."""
    found: set[str] = set()
    while len(found) < wanted:
        number = f"+1{dice.randint(201, 989)}{dice.randint(200, 999)}{dice.randint(0, 9999):04d}"
        with suppress(InvalidNumber):
            parsed = phone.parse(number)
            if (parsed.country, parsed.type) == ("US", "fixed_line_or_mobile"):
                found.add(number)
    return sorted(found)


def tried(world: World, number: str, address: str | None, **more: Any) -> str | None:  # noqa: ANN401 - as SendRequest
    """Send as a stranger; gives the challenge's id if he was let in."""
    try:
        return world.send(number, address, **more)
    except (TooManyRequests, HumanCheckRequired):
        return None


def insisted(world: World, number: str, address: str | None, **more: Any) -> str | None:  # noqa: ANN401 - as SendRequest
    """Send as one who solves every human check; gives the challenge's id, or None if that was not enough."""
    try:
        return world.send(number, address, **more)
    except TooManyRequests:
        return None
    except HumanCheckRequired as error:
        return tried(world, number, address, human_proof=encoded(proof(error.check)), **more)
