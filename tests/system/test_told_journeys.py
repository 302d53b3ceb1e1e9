"""Sixty people go through a running service; the timeline of each says what was done, and nothing else."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from otp_service import phone
from tests.conftest import OPS
from tests.support.numbers import crowd
from tests.support.patience import until
from tests.support.told_journeys import AFTER, BEFORE, Act, Person, Step, reviews
from tests.support.told_service import Service, running
from tests.support.valkey_server import ValkeyServer

SEED = 20_261_128
AT_ONCE = 6
COUNT = 60


def cast(service: Service, dice: random.Random) -> dict[Act, list[Person]]:
    """Give each journey its people."""
    acts = [act for act, count in {**BEFORE, **AFTER}.items() for _ in range(count)]
    numbers = dice.sample(list(islice(crowd(), 1000)), 2 * len(acts))
    people: dict[Act, list[Person]] = {}
    for place, act in enumerate(acts):
        person = Person(service, numbers[2 * place], numbers[2 * place + 1], address=f"203.0.113.{place}")
        people.setdefault(act, []).append(person)
    return people


def play(people: dict[Act, list[Person]], acts: Sequence[Act], dice: random.Random) -> None:
    """Let people do what they do, some of them at once, in a drawn order."""
    tasks = [(act, person, random.Random(dice.random())) for act in acts for person in people[act]]
    dice.shuffle(tasks)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(act, person, own) for act, person, own in tasks]:
            done.result()


def told(service: Service, id_: str) -> dict[str, Any]:
    """Read a timeline; its times follow one another. Times are left out, and `seconds` only have to be there."""
    found: dict[str, Any] = service.call("GET", f"/ops/challenges/{id_}", OPS).json()
    steps = found.get("timeline", [])
    times = [step.pop("at") for step in steps]
    assert times == sorted(times)
    for step in steps:
        if "seconds" in step:
            step["seconds"] = step["seconds"] >= 0
    return found


def searched(service: Service, **by: object) -> list[dict[str, Any]]:
    """Search as an operator does."""
    answer = service.call("POST", "/ops/challenges/search", OPS, by)
    assert answer.ok, answer.text
    found: list[dict[str, Any]] = answer.json()["challenges"]
    return found


def check(service: Service, person: Person) -> None:
    """Compare the stories of a person with what was done."""
    for request_id, state, steps in person.refused:
        [found] = searched(service, request_id=request_id)
        story = told(service, found["id"])
        assert story["timeline"] == steps
        assert (story["kind"], story["state"]) == ("refused", state)
    story = told(service, person.id)
    assert story["timeline"] == person.plan
    assert story["deliveries"] == person.deliveries
    facts = (
        "kind",
        "state",
        "app",
        "country",
        "purpose",
        "reference",
        "request_id",
        "route",
        "known",
        "policy",
    )
    known = "" if person.page else "server"
    assert [story[name] for name in facts] == [
        *(
            "challenge",
            person.state,
            person.app,
            phone.country_of(person.number),
            person.purpose,
            person.reference,
        ),
        *(person.first_request, person.route, known, person.version),
    ]
    assert story["to"] == f"+1********{person.number[-2:]}"
    assert person.id in [one["id"] for one in searched(service, number=person.number)]
    for step in person.plan:
        if "request_id" in step:
            assert [one["id"] for one in searched(service, request_id=step["request_id"])] == [person.id]


def is_written(service: Service, person: Person) -> bool:
    """Say whether all that was done is written; a step too much stays there and is seen by `check`."""
    with suppress(AssertionError):
        check(service, person)
        return True
    return False


def differs(service: Service, person: Person) -> str:
    """Say what is told, and what was done."""

    def written(steps: Sequence[Step]) -> str:
        return "\n".join(map(str, steps))

    return f"told:\n{written(told(service, person.id)['timeline'])}\ndone:\n{written(person.plan)}"


@pytest.mark.slow
def test_sixty_timelines_equal_what_was_done(valkey: ValkeyServer, tmp_path: Path) -> None:
    """Whatever people, upstream, rules and operators do; also when only what is kept is left."""
    dice = random.Random(SEED)
    with running(valkey, tmp_path) as service:
        people = cast(service, dice)
        everyone = [person for acts in people.values() for person in acts]
        assert len(everyone) == COUNT
        play(people, [*BEFORE], dice)
        service.apply(ttl="10m", wait="250s")
        for person in people[reviews]:
            person.review_code = service.add_review(person.number)
        play(people, [*AFTER], dice)
        for person in everyone:
            until(
                lambda one=person: is_written(service, one),  # type: ignore[misc]  # bound at once
                explain=lambda one=person: differs(service, one),  # type: ignore[misc]  # as above
                pause=0.2,
            )
        with valkey.client() as client:
            prefix = service.environment["OTP_REDIS_PREFIX"]
            live = list(client.scan_iter(f"{{{prefix}:*}}:c:*"))
            assert len(live) >= COUNT
            client.delete(*live)
        for person in everyone:
            check(service, person)
