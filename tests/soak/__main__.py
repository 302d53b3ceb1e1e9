"""Soak the product in faults: minutes of people who sign in while everything breaks, then a judge reads the history.

python -m tests.soak --minutes 30 --seed 7
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import phonenumbers
import requests
from redis.exceptions import RedisError

from tests.soak.clients import LOST, People
from tests.soak.faults import FAULTS, LOSING, Fault, Step, plan
from tests.soak.judge import Verdict, judge
from tests.soak.stand import Stand
from tests.support.numbers import crowd
from tests.support.patience import until

MOST_MINUTES = 40
"""So long do the fictional numbers last at about a thousand sign-ins a minute."""


@dataclass
class Course:
    """What was done to the stand: how often each fault came, answers lost in it, and those that did not end."""

    injected: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    stuck: list[str] = field(default_factory=list)

    def run(self, stand: Stand, people: People, steps: Iterable[Step], ends: float, least: int) -> None:
        """Inject one fault after the other until `ends` (monotonic seconds), but at least so many."""
        for count, step in enumerate(steps):
            time.sleep(step.pause if count < least else min(step.pause, max(0.0, ends - time.monotonic())))
            if time.monotonic() >= ends and count >= least:
                break
            if step.fault.needs_disk and stand.disk is None:
                _show(f"left out, as nothing can be mounted here: {step.fault.name}")
                continue
            _show(f"{ends - time.monotonic():6.0f} s left, {people.progress()}: {step.fault.name}")
            before = people.statuses[LOST]
            self._inject(stand, step)
            self.lost[step.fault.name] += people.statuses[LOST] - before

    def _inject(self, stand: Stand, step: Step) -> None:
        try:
            step.fault.inject(stand, random.Random(step.seed), step.lasts)
            self.injected[step.fault.name] += 1
        except RedisError:
            _show("        the store did not take it: the fault before it lasts")
        except (AssertionError, subprocess.SubprocessError) as error:
            self.stuck.append(f"{step.fault.name}: {error!r}")
            _show(f"        nothing moves any more after {self.stuck[-1]}")


def soak(
    seconds: float, seed: int, faults: Sequence[Fault] = FAULTS, *, least: int = 0
) -> tuple[Verdict, dict[str, Any]]:
    """Run for so long, and for at least so many faults; gives the verdict, and what happened."""
    course = Course()
    with Stand() as stand:
        with People(stand, seed, _numbers()) as people:
            course.run(stand, people, plan(seed, faults), time.monotonic() + seconds, least)
            _show("no more faults; everybody finishes")
        with suppress(AssertionError):
            until(stand.is_ready)
        inboxes = {one.number: stand.inbox(one.number) for one in people.journeys}
        verdict = judge(people.journeys, inboxes, stand.promotions, people.statuses, list(stand.logs()))
        _judge_stand(verdict, stand, course)
        if verdict.violations:
            _show(f"the logs are in {stand.rescue_logs()}")
    return verdict, {
        "seed": seed,
        "seconds": seconds,
        "faults": dict(course.injected),
        "journeys": len(people.journeys),
        "verified": sum(one.checks["right verified"] for one in people.journeys),
        "answers": {str(status): count for status, count in sorted(people.statuses.items())},
        "lost_answers": dict(+course.lost),
        "unavailable": {code: count for code, count in people.unavailable.items() if count},
        "longest_answer_seconds": round(people.longest, 1),
        "looked": dict(verdict.looked),
        "promotions": len(stand.promotions),
        "files_of_the_store_damaged": stand.refilled,
        "excused_by_promotion": dict(verdict.excused),
        "violations": verdict.violations,
    }


def _judge_stand(verdict: Verdict, stand: Stand, course: Course) -> None:
    for name, count in course.injected.items():
        lost = course.lost[name]
        for _ in range(count):
            verdict.demand("a fault ends", holds=True)
        verdict.demand("only kill -9 loses an answer", name in LOSING or not lost, f"{name}: {lost} answers")
    for about in course.stuck:
        verdict.demand("a fault ends", holds=False, about=about)
    troubles = stand.troubles + [f"{name} ended by itself" for name in stand.ended()]
    verdict.demand("processes end when they are told to, and only then", not troubles, "; ".join(troubles))
    verdict.demand("it serves again, without a restart", *_serves(stand))


def _numbers() -> Iterator[str]:
    """Give those of the crowd's numbers that the policy sends to: some areas are no place, but a kind of number."""
    usual = phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE
    return (one for one in crowd() if phonenumbers.number_type(phonenumbers.parse(one)) == usual)


def _serves(stand: Stand) -> tuple[bool, str]:
    try:
        answer = stand.call("POST", "/otp/send", {"to": next(reversed([*crowd()]))})
    except requests.RequestException as error:
        return False, repr(error)
    return answer.status_code == requests.codes.accepted, answer.text


def _show(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Soak and print what happened as JSON; gives the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing of the stand stays
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1000), help="the same seed, the same faults"
    )
    parser.add_argument("--json", type=Path, help="also write it here")
    given = parser.parse_args()
    seconds = min(MOST_MINUTES * 60, given.minutes * 60 + given.seconds) or 60
    verdict, happened = soak(seconds, given.seed)
    text = json.dumps(happened, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")
    if verdict.violations:
        _show(f"{len(verdict.violations)} violations; repeat with --seed {given.seed}")
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main())
