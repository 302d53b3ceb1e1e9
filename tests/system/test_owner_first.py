"""Attacks that try to shut an owner out, played through in simulated time against default settings.

The attackers solve every human check, at no cost: each is solved at the first try here.
"""

import random
import time
from collections.abc import Iterator
from functools import partial

import pytest

from otp_service.durations import DAY, HOUR, MINUTE
from otp_service.errors import HumanCheckRequired, TooManyRequests
from tests.support.proofs import encoded, proof
from tests.support.spine import open_spine
from tests.support.valkey_server import ValkeyServer
from tests.support.world import DEFAULTS, Agenda, World, insisted

OWNER, HOME = "+14155552671", "198.51.100.7"


@pytest.fixture
def world(valkey: ValkeyServer) -> Iterator[World]:
    """Give a service with default settings, whose human checks are solved at the first try."""
    with open_spine(valkey, guard=DEFAULTS, draw=lambda _: 0) as spine:
        yield World(spine, begun=time.time() + DAY)


class Siege:
    """A stranger who asks for one number all day, and guesses. Their networks: a /48 of IPv6, and five of IPv4."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self._world, self._dice = world, dice
        self.left: list[float] = []
        """When messages left for the stranger."""

    def ask(self) -> None:
        """Ask from a random subnet or a random address, and type five wrong codes."""
        dice = self._dice
        address = f"2001:db8:7:{dice.randrange(2**16):x}::1"
        if dice.random() < 0.5:
            address = f"203.0.{dice.randrange(5)}.{dice.randrange(256)}"
        if id_ := insisted(self._world, OWNER, address):
            self.left.append(self._world.seconds)
            while self._world.guess(id_):
                pass


class NewDevice:
    """The number's owner, on a device that never verified it, at home."""

    def __init__(self, world: World, agenda: Agenda) -> None:
        self._world, self._agenda = world, agenda
        self.waited: list[float] = []
        """Seconds from the first request of each visit to its code."""
        self.got_in: list[float] = []

    def come(self, first: float) -> None:
        """Ask for a code, as often and as late as the answers say."""
        moment = self._world.seconds
        try:
            id_ = self._world.send(OWNER, HOME)
        except TooManyRequests as error:
            self._agenda.plan(moment + (error.retry_after or 0), partial(self.come, first))
        except HumanCheckRequired as error:
            self._world.verify(self._world.send(OWNER, HOME, human_proof=encoded(proof(error.check))))
            self._record(first)
        else:
            self._world.verify(id_)
            self._record(first)

    def _record(self, first: float) -> None:
        self.waited.append(self._world.seconds - first)
        self.got_in.append(self._world.seconds)


@pytest.mark.parametrize("days", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_no_stranger_shuts_an_owner_on_a_new_device_out_for_longer_than_an_hour(
    world: World, days: int
) -> None:
    """Each day at any time, while the stranger asks every five minutes. D3's figure of a day holds meanwhile.

    The phone gets ten messages a day for the stranger, whose networks are few, and those that its owner asks for.
    """
    dice, agenda = random.Random(13), Agenda()
    siege, owner = Siege(world, dice), NewDevice(world, agenda)
    for moment in range(0, days * DAY, 5 * MINUTE):
        agenda.plan(moment, siege.ask)
    for day in range(days):
        first = day * DAY + dice.uniform(2 * HOUR, 23 * HOUR)
        agenda.plan(first, partial(owner.come, first))
    agenda.play(world)
    assert len(owner.waited) == days
    assert max(owner.waited) <= HOUR
    most = max(sum(first <= one < first + DAY for one in siege.left) for first in siege.left)
    assert most <= 10
    assert len(siege.left) > days
