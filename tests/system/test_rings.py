"""Rings that send for money, in simulated time against default settings: what leaves, and who is kept out.

They solve every human check, at no cost: each is solved at the first try here. They have any number of addresses.
"""

import random
import time
from collections.abc import Iterator
from functools import partial

import pytest

from otp_service.durations import DAY, HOUR, MINUTE
from otp_service.errors import HumanCheckRequired, TooManyRequests
from otp_service.guard.networks import WIDER
from tests.support.spine import open_spine
from tests.support.valkey_server import ValkeyServer
from tests.support.world import DEFAULTS, Agenda, World, honest_numbers, insisted

PER_DAY = DEFAULTS.address.refuse[-1].limit
UNPROVEN_PER_DAY = DEFAULTS.unproven.refuse[-1].limit
OWNERS = 12


@pytest.fixture
def world(valkey: ValkeyServer) -> Iterator[World]:
    """Give a service with default settings, whose human checks are solved at the first try."""
    with open_spine(valkey, guard=DEFAULTS, draw=lambda _: 0) as spine:
        yield World(spine, begun=time.time() + DAY)


def devices(world: World, numbers: list[str]) -> dict[str, str]:
    """Verify numbers within ten days, each from an address of its own; gives their device tokens."""
    tokens = {}
    for place, number in enumerate(numbers):
        world.at(place * 10 * DAY / len(numbers))
        tokens[number] = world.verify(world.send(number, f"198.18.{place}.1"), remember_device=True) or ""
    return tokens


def test_a_ring_with_verified_sims_sends_no_more_than_an_address_may(world: World) -> None:
    """Two hundred SIMs, each verified once, ask ten times a day from one address, and verify nothing any more.

    A device token has counters of its own, but no exemption: at most what an address may send as a known device, and as
    much again as a stranger, once its tokens have lost their standing.
    """
    tokens = devices(world, honest_numbers(random.Random(21), 200))
    left = 0
    for turn in range(10):
        for place, (number, token) in enumerate(tokens.items()):
            world.at(12 * DAY + turn * 2.2 * HOUR + place * 2.2 * HOUR / 200)
            left += insisted(world, number, "203.0.113.7", device_token=token) is not None
    assert PER_DAY / 2 < left <= 2 * PER_DAY


def test_a_token_whose_sends_are_not_verified_is_a_strangers(world: World) -> None:
    """After three. Its next send uses the strangers' budget, and one right code restores it."""
    [(number, token)] = devices(world, ["+14155552671"]).items()
    sent = []
    for turn in range(4):
        world.at(20 * DAY + turn * 4 * HOUR)
        sent.append(world.send(number, "203.0.113.7", device_token=token))
    assert [world.known(id_) for id_ in sent] == ["device", "device", "device", ""]
    fresh = world.verify(sent[-1], remember_device=True) or ""
    world.at(world.seconds + 5 * HOUR)
    assert world.known(world.send(number, "203.0.113.7", device_token=fresh)) == "device"


@pytest.mark.parametrize(("hours", "rate"), [(1, 3000), pytest.param(24, 1000, marks=pytest.mark.slow)])
def test_a_pumper_who_solves_proofs_is_bounded_by_what_was_verified(
    world: World, hours: int, rate: int
) -> None:
    """A thousand random numbers an hour or more, each from a network of its own; every fiftieth it verifies itself.

    What is left unproven is bounded for each country and app, whatever was solved. Known devices do not notice; they
    are so many that none asks for more than one phone gets in a day.
    """
    dice = random.Random(22)
    owners = list(devices(world, honest_numbers(random.Random(20), OWNERS)).items())
    numbers = honest_numbers(dice, 3000)
    unproven = verified = served = 0
    for place in range(rate * hours):
        world.at(12 * DAY + place * HOUR / rate)
        address = f"2001:{dice.randrange(2**16):x}:{dice.randrange(2**16):x}::1"
        id_ = insisted(world, numbers[place % 3000], address)
        if id_ and place % 50 == 0:
            world.verify(id_)
            verified += 1
        elif id_:
            unproven += 1
        if place % (rate // 4) == rate // 4 - 1:
            owner, token = owners[served % OWNERS]
            world.verify(world.send(owner, f"198.18.{served % OWNERS}.1", device_token=token))
            served += 1
    assert served == 4 * hours
    assert verified < rate * hours / 50
    hourly, trickle = DEFAULTS.unproven.refuse[0].limit, DEFAULTS.unproven.trickle[0].limit
    base = max(min(hourly * hours, UNPROVEN_PER_DAY), DEFAULTS.unproven.ratio * verified)
    assert base / 2 < unproven <= base + trickle * (hours * 60 / 45 + 1)


def test_who_owns_a_network_of_48_bits_is_not_without_limits(world: World) -> None:
    """For an hour 2,000 requests from as many subnets of 64 bits, for numbers all over the country, all verified.

    No other rule stops it: the codes come back. The wider networks of an address have limits of their own.
    """
    numbers, left = honest_numbers(random.Random(23), 2000), 0
    for place, number in enumerate(numbers):
        world.at(place * HOUR / 2000)
        id_ = insisted(world, number, f"2001:db8:7:{place:x}::1")
        if id_:
            world.verify(id_)
            left += 1
    hourly = DEFAULTS.address.refuse[1].limit
    assert hourly < left <= WIDER[-1][1] * hourly
    world.at(2 * HOUR)
    assert insisted(world, "+14155552671", "2001:db8:8::1")


@pytest.mark.parametrize("seed", range(3))
def test_a_block_of_a_hundred_honest_people_gets_in_within_a_day(world: World, seed: int) -> None:
    """Their numbers differ in the last four digits only; each has an address, and types the code within two minutes."""
    dice, agenda, refused = random.Random(seed), Agenda(), []

    def come(place: int) -> None:
        number = f"+1415555{2000 + place}"
        try:
            id_ = insisted(world, number, f"198.51.{place}.7")
        except (TooManyRequests, HumanCheckRequired):
            id_ = None
        if id_ is None:
            refused.append(number)
        else:
            agenda.plan(world.seconds + dice.uniform(10, 2 * MINUTE), partial(verify, id_))

    def verify(id_: str) -> None:
        world.verify(id_)

    for place in range(100):
        agenda.plan(dice.uniform(0, DAY), partial(come, place))
    agenda.play(world)
    assert refused == []
