"""Attacks played through in simulated time, against default settings: what leaves, and who is kept out by it.

Time moves by the store's offset, so that hours pass in seconds; what happens, and when, is the same in every run.
"""

import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count

import pytest

from otp_service.challenge.model import Status, Step
from otp_service.durations import DAY, HOUR, MINUTE
from otp_service.errors import (
    HumanCheckRequired,
    OtpError,
)
from otp_service.verification.send import SendRequest
from tests.support.proofs import encoded, proof
from tests.support.spine import open_spine, seen
from tests.support.valkey_server import ValkeyServer
from tests.support.world import DEFAULTS, Agenda, World, honest_numbers, tried

PUMPED = 12025555000
"""The first of the attacker's numbers: 10,000 in a row."""


@pytest.fixture
def world(valkey: ValkeyServer) -> Iterator[World]:
    """Give a service with default settings."""
    with open_spine(valkey, guard=DEFAULTS) as spine:
        yield World(spine, begun=time.time() + DAY)


@pytest.mark.parametrize(
    ("requests", "users"), [(2_000, 200), pytest.param(10_000, 1000, marks=pytest.mark.slow)]
)
def test_pumping_is_stopped_and_honest_users_do_not_notice(world: World, requests: int, users: int) -> None:
    """Within one hour requests for consecutive numbers from 200 addresses, ten for each user; 3 of 4 users verify.

    User agents may rotate: nothing here looks at one. At most 60 messages leave for the attacker; every user is served.
    """
    dice, agenda = random.Random(4), Agenda()
    pumped: list[str] = []
    served: list[str] = []
    verified: list[str] = []

    def pump(place: int) -> None:
        number = f"+{PUMPED + place}"
        try:
            world.send(number, f"203.0.113.{place % 200}")
        except OtpError:
            return
        pumped.append(number)

    def use(number: str, address: str, seconds: float) -> None:
        id_ = world.send(number, address)
        served.append(number)
        if dice.random() < 0.75:
            agenda.plan(seconds + dice.uniform(10, 60), partial(verify, id_))

    def verify(id_: str) -> None:
        world.verify(id_)
        verified.append(id_)

    for place in range(requests):
        agenda.plan(place * HOUR / requests, partial(pump, place))
    for place, number in enumerate(honest_numbers(dice, users)):
        seconds = place * HOUR / users
        agenda.plan(seconds, partial(use, number, f"198.18.{place // 250}.{place % 250}", seconds))
    agenda.play(world)
    assert len(served) == users
    assert len(verified) > 0.7 * users
    assert 0 < len(pumped) <= 60


@pytest.mark.parametrize("requests", [1000, pytest.param(3000, marks=pytest.mark.slow)])
def test_pumping_at_random_numbers_is_stopped_by_what_does_not_come_back(world: World, requests: int) -> None:
    """One address a request, numbers all over the country: only their conversion gives them away."""
    dice = random.Random(5)
    left = 0
    for place, number in enumerate(honest_numbers(dice, requests)):
        world.at(place * HOUR / requests)
        try:
            world.send(number, f"2001:db8:{place:x}::1")
        except OtpError:
            continue
        left += 1
    assert 50 <= left <= 200


def test_a_burst_brings_no_more_than_would_be_judged(world: World) -> None:
    """Within a minute 1,000 numbers all over the country, one address each: it is over before any code is late.

    What follows is asked for a check, also by those who come meanwhile; the minute after it, nobody is.
    """
    numbers = honest_numbers(random.Random(7), 1100)
    left = 0
    for place in range(1000):
        world.at(place * MINUTE / 1000)
        left += tried(world, numbers[place], f"2001:db8:{place:x}::1") is not None
    assert left == DEFAULTS.conversion.sends


@pytest.mark.parametrize("hours", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_who_lets_codes_lapse_closes_a_country_to_nobody_who_is_human(world: World, hours: int) -> None:
    """For hours nothing comes back of all that a stranger is let send; who solves a check is served at any time.

    As soon as the stranger stops nobody is asked for one.
    """
    numbers = iter(honest_numbers(random.Random(8), 3000))
    served = asked = 0
    for place in range(hours * 60):
        world.at(place * MINUTE)
        for way in range(6):
            tried(world, next(numbers), f"2001:db8:{place:x}:{way}::1")
        if place % 40 == 39:
            number, address = next(numbers), f"198.51.100.{place // 40}"
            try:
                id_ = world.send(number, address)
            except HumanCheckRequired as error:
                asked += 1
                id_ = world.send(number, address, human_proof=encoded(proof(error.check)))
            world.verify(id_)
            served += 1
    assert served == hours * 60 // 40
    assert asked > served / 2
    world.at(12 * HOUR)
    assert tried(world, "+14155552672", "198.51.100.99")


def test_no_route_makes_a_phone_ring_more_often_than_its_number_may(valkey: ValkeyServer) -> None:
    """For six hours strangers ask for one number all the time, over three channels, none of which gets through."""
    steps = tuple(Step(channel, ("main",), 30) for channel in ("sms", "whatsapp", "voice"))
    with open_spine(valkey, guard=DEFAULTS, steps=steps) as spine:
        world, victim = World(spine, begun=time.time() + DAY), "+14155552671"
        left: list[float] = []

        def bring(id_: str) -> None:
            """Let all messages of a challenge leave, and none arrive."""
            for _ in steps:
                spine.dispatcher.dispatch(id_, lambda: False)
                left.extend([world.seconds] * spine.phone.inbox.qsize())
                while not spine.phone.inbox.empty():
                    spine.phone.inbox.get()
                newest = seen(spine.store, id_).last
                spine.store.challenges.record_receipt(
                    id_,
                    "main",
                    upstream_id="",
                    reference=newest.reference,
                    status=Status.FAILED,
                    reason="absent",
                )
                spine.dispatcher.dispatch(id_, lambda: False)

        for moment in range(0, 6 * HOUR, 30):
            world.at(moment)
            caller = replace(spine.caller, address=f"2001:db8:{moment:x}::1")
            with suppress(OtpError):
                bring(spine.send.send(caller, SendRequest(to=victim)).challenge_id)
    for window in DEFAULTS.number.refuse:
        for first in left:
            assert sum(first <= one < first + window.seconds for one in left) <= window.limit
    assert len(left) >= 6


@pytest.mark.parametrize("days", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_a_stranger_cannot_keep_an_owner_out(world: World, days: int) -> None:
    """For days a stranger uses up all that strangers may do to two numbers and their prefix, and guesses.

    Half of it through the app's own server, which names a session for each stranger. The owner with a device that
    verified the number before, and the one whose session did, get their code each day, and a challenge that they opened
    can be finished whatever the stranger does meanwhile.
    """
    owner, other = "+14155552671", "+14155552672"
    world.at(0)
    device = world.verify(world.send(owner, "198.51.100.7"), remember_device=True)
    assert device
    world.verify(world.send(other, None, session="the-owners"))
    let_in = refused = 0
    addresses = (f"2001:db8:{place:x}::1" for place in count())

    def attack(*numbers: str) -> None:
        nonlocal let_in, refused
        for place, number in enumerate(numbers):
            who = next(addresses)
            id_ = tried(world, number, who) if place % 2 else tried(world, number, None, session=f"of {who}")
            let_in, refused = let_in + bool(id_), refused + (not id_)
            while id_ and world.guess(id_):
                pass

    for half in range(days * 48):
        moment = HOUR + half * 30 * MINUTE
        world.at(moment)
        attack(owner, other, f"+1415555{2600 + half % 100}")
        if half % 48 == 24:
            mine = world.send(owner, "198.51.100.7", device_token=device)
            theirs = world.send(other, None, session="the-owners")
            world.at(moment + MINUTE)
            attack(owner, other)
            world.verify(mine)
            world.verify(theirs)
    assert let_in > days
    assert refused > days * 48


def test_guessing_across_many_numbers_makes_codes_longer_and_strangers_work(world: World) -> None:
    """At 2,000 wrong codes within an hour, whoever's they are, a code of six digits has won about once in 500.

    From then on strangers get a check, who is known does not, and every new code has eight digits; it passes with the
    hour. The guesser verifies every second challenge, a number of its own, so that conversion looks honest.
    """
    owner = "+14155552671"
    world.at(0)
    device = world.verify(world.send(owner, "198.51.100.7"), remember_device=True)
    assert device
    victims, guesses = iter(honest_numbers(random.Random(6), 900)), 0
    for place in count():
        world.at(HOUR + place * 4)
        id_ = tried(world, next(victims), f"2001:db8:{place:x}::1")
        if id_ is None:
            break
        assert len(world.codes[id_]) == 6
        if place % 2 == 0:
            world.verify(id_)
            continue
        guesses += 1
        while world.guess(id_):
            guesses += 1
    assert 2_000 <= guesses < 2_005
    mine = world.send(owner, "198.51.100.7", device_token=device)
    assert len(world.codes[mine]) == 8
    world.verify(mine)
    world.at(3 * HOUR)
    assert len(world.codes[world.send(next(victims), "2001:db8:ffff::1")]) == 6
