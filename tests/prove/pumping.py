"""Pumping: what an attacker's messages cost, and what honest people notice of it, by means and by share.

Simulated time against default settings: an hour in which honest people each ask once and three of four verify, beside
an attacker. Human checks are solved at once by honest people; what they cost a person is counted as "checked".
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial

from otp_service import phone
from otp_service.durations import DAY, HOUR
from otp_service.errors import HumanCheckRequired, InvalidNumber, OtpError, TooManyRequests
from otp_service.policy.limits import Countries
from tests.bench.figures import Figure
from tests.prove.evidence import Claim
from tests.support.proofs import encoded, proof
from tests.support.spine import open_spine
from tests.support.valkey_server import ValkeyServer
from tests.support.world import DEFAULTS, Agenda, World, honest_numbers, insisted, tried

MOST_LOST = 60
"""Messages that 10,000 consecutive numbers may cost."""
RATIOS = (1, 10)
"""Requests of the attacker for each honest one."""
COUNTRIES = {"same country": "US", "other country": "GB"}
CLAIM = Claim(
    "pumping",
    "Pumping is stopped, honest people are not",
    "{} consecutive numbers beside {} honest people in an hour: {} messages lost, {} people refused, {} delayed",
    ("block, numbers", "block, honest people", "block, lost", "block, refused", "block, delayed"),
)


@dataclass
class Outcome:
    """What one hour brought."""

    lost: int = 0
    """Messages to the attacker's numbers that nobody verified."""
    honest: Counter[str] = field(default_factory=Counter)


def _plain(world: World, place: int, number: str, dice: random.Random) -> str | None:
    return tried(world, number, f"203.0.113.{place % 200}")


def _proofs(world: World, place: int, number: str, dice: random.Random) -> str | None:
    return insisted(world, number, f"203.0.113.{place % 200}")


def _rotated(world: World, place: int, number: str, dice: random.Random) -> str | None:
    return insisted(world, number, f"2001:{dice.randrange(1 << 16):x}:{dice.randrange(1 << 16):x}::1")


def _sims(world: World, place: int, number: str, dice: random.Random) -> str | None:
    """Verify every fiftieth, so that conversion looks better than it is."""
    id_ = _rotated(world, place, number, dice)
    if id_ is None or place % 50:
        return id_
    world.verify(id_)
    return None


MEANS: Mapping[str, Callable[[World, int, str, random.Random], str | None]] = {
    "plain": _plain,
    "proofs solved": _proofs,
    "rotated /48s": _rotated,
    "verified SIMs": _sims,
}


SHOWN = ("lost", "delayed", "checked")


def rows(figures: Sequence[Figure]) -> list[tuple[str, list[float]]]:
    """Arrange what was found for each attack as rows of a picture."""
    values = {figure.name: figure.value for figure in figures}
    attacks = [name.removesuffix(", lost") for name in values if name.endswith(", lost")]
    return [(attack, [values[f"{attack}, {kind}"] for kind in SHOWN]) for attack in attacks]


def pumping(*, people: int, numbers: int) -> Iterator[Figure]:
    """Play the hour for each means, share and country with so many people; then a block of so many numbers."""
    for country, code in COUNTRIES.items():
        for ratio in RATIOS:
            for means, act in MEANS.items():
                dice = random.Random(f"{country} {ratio} {means}")
                attacked = _numbers_of(code, dice, min(people * ratio, 3000))
                found = play(people, people * ratio, attacked, act, (code, "US"))
                yield from _figures(f"{means}, {ratio}:1, {country}", people, found)
    block = [f"+{12025555000 + place}" for place in range(numbers)]
    found = play(numbers // 10, numbers, block, _plain, ("US",))
    yield Figure("block, numbers", numbers, "numbers")
    yield from _figures("block", numbers // 10, found, lost=MOST_LOST, refused=0)


def play(
    people: int,
    requests: int,
    attacked: list[str],
    act: Callable[[World, int, str, random.Random], str | None],
    allowed: tuple[str, ...],
) -> Outcome:
    """Play one hour of an attack beside honest people from the United States."""
    guard = replace(DEFAULTS, countries=Countries(allow=tuple(dict.fromkeys(allowed))))
    dice, agenda, outcome = random.Random(4), Agenda(), Outcome()
    with (
        closing(ValkeyServer(options={"appendonly": "no"})) as server,
        open_spine(server, guard=guard, draw=lambda _: 0) as spine,
    ):
        world = World(spine, begun=time.time() + DAY)

        def pump(place: int) -> None:
            outcome.lost += act(world, place, attacked[place % len(attacked)], dice) is not None

        def come(number: str, address: str) -> None:
            id_ = _ask(world, number, address, outcome.honest)
            if id_ and dice.random() < 0.75:
                agenda.plan(world.seconds + dice.uniform(10, 60), partial(_verify, world, id_))

        for place in range(requests):
            agenda.plan(place * HOUR / requests, partial(pump, place))
        for place, number in enumerate(honest_numbers(dice, people)):
            agenda.plan(place * HOUR / people, partial(come, number, f"198.18.{place // 250}.{place % 250}"))
        agenda.play(world)
    return outcome


def _ask(world: World, number: str, address: str, seen: Counter[str]) -> str | None:
    """Ask as an honest person, who solves a check if there is one; count what became of it."""
    try:
        return world.send(number, address)
    except HumanCheckRequired as error:
        seen["checked"] += 1
        solved = encoded(proof(error.check))
    except TooManyRequests:
        seen["delayed"] += 1
        return None
    try:
        return world.send(number, address, human_proof=solved)
    except TooManyRequests:
        seen["delayed"] += 1
    except OtpError:
        seen["refused"] += 1
    return None


def _verify(world: World, id_: str) -> None:
    world.verify(id_)


def _numbers_of(country: str, dice: random.Random, wanted: int) -> list[str]:
    if country == "US":
        return honest_numbers(dice, wanted)
    found: set[str] = set()
    while len(found) < wanted:
        number = f"+447{dice.randrange(10**9):09d}"
        with suppress(InvalidNumber):
            parsed = phone.parse(number)
            if (parsed.country, parsed.type) == (country, "mobile"):
                found.add(number)
    return sorted(found)


def _figures(
    name: str, people: int, found: Outcome, *, lost: float | None = None, refused: float | None = None
) -> Iterator[Figure]:
    yield Figure(f"{name}, honest people", people, "people")
    yield Figure(f"{name}, lost", found.lost, "messages", "to the attacker's numbers, unverified", most=lost)
    for kind, most in (("refused", refused), ("delayed", None), ("checked", None)):
        yield Figure(
            f"{name}, {kind}",
            found.honest[kind],
            "people",
            f"{100 * found.honest[kind] / people:.1f} %",
            most=most,
        )
