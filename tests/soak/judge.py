"""What is demanded of a history, by the invariants of docs/design.md.

A promotion may lose the last moment of what was written without waiting for a replica: docs/operate.md says what. So
what ends a journey strangely is a violation only if no promotion fell into it. Nothing excuses a second use.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from otp_service.policy.model import ChallengeRules
from tests.conftest import OPS, SECRET, UPSTREAM_TOKEN
from tests.soak.clients import Journey
from tests.soak.stand import WEBHOOK

MOST_GUESSES = ChallengeRules().max_attempts
BROKEN = range(500, 600)
AWAY = 503
"""The one error of a server that a caller may see through all faults."""
FOUND_WITHIN = 10.0
"""Seconds between the last moment of a master and its successor, and until a worker acts on what that one knows."""
NOT_THROUGH = frozenset({"queued", "sending"})


@dataclass
class Verdict:
    """Violations by invariant, and how often each invariant was looked at."""

    looked: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    excused: Counter[str] = field(default_factory=Counter)

    def demand(self, invariant: str, holds: object, about: str = "", *, excuse: bool = False) -> None:
        """Look at one invariant once."""
        self.looked[invariant] += 1
        if holds:
            return
        if excuse:
            self.excused[invariant] += 1
        else:
            self.violations.append(f"{invariant}: {about}")


def judge(
    journeys: Sequence[Journey],
    inboxes: dict[str, list[dict[str, Any]]],
    promotions: Sequence[float],
    statuses: Counter[int],
    logs: Sequence[str],
) -> Verdict:
    """Judge a history. `promotions` are when a replica became the master (monotonic seconds)."""
    verdict = Verdict()
    verdict.demand("there is a history", journeys and statuses and logs)
    for one in journeys:
        _judge_journey(verdict, one, inboxes.get(one.number, []), promoted=_meets(one, promotions))
    for status, count in statuses.items():
        verdict.demand(
            "answers are definite", status == AWAY or status not in BROKEN, f"{count} answers with {status}"
        )
    numbers = frozenset(one.number.lstrip("+") for one in journeys)
    for log in logs:
        leak = next(_leaks(log, numbers), None)
        verdict.demand(
            "no secret or number in a log",
            leak is None,
            "" if leak is None else log[max(0, leak - 60) :][:90],
        )
    return verdict


def _leaks(log: str, numbers: frozenset[str]) -> Iterator[int]:
    """Yield where a secret or a number stands, also within more digits. One pattern of all takes for ever."""
    yield from (
        place for secret in (SECRET, OPS, UPSTREAM_TOKEN, WEBHOOK) if (place := log.find(secret)) >= 0
    )
    lengths = {len(number) for number in numbers}
    for digits in re.finditer(r"[0-9]{7,}", log):
        for length in lengths:
            for start in range(digits.start(), digits.end() - length + 1):
                if log[start : start + length] in numbers:
                    yield start


def _judge_journey(verdict: Verdict, one: Journey, inbox: list[dict[str, Any]], *, promoted: bool) -> None:
    verdict.demand(
        "a person gets to an end", one.ended, f"{one.challenge_id[:6]}… {one.sent} {dict(one.checks)}"
    )
    if one.sent != "accepted":
        verdict.demand("a send is accepted", holds=False, about=f"{one.number[:5]}… {one.sent}")
        return
    verdict.demand("a send is accepted", holds=True)
    about = f"{one.challenge_id[:6]}… {dict(one.checks)} {one.last.get('deliveries')}"
    verdict.demand("a code verifies once", one.checks["right verified"] <= 1, about)
    verdict.demand("no wrong code is right", not one.checks["wrong verified"], about)
    verdict.demand("five guesses", one.checks["wrong wrong_code"] <= MOST_GUESSES, about)
    verdict.demand("a token is redeemed once", one.redeemed <= len(one.tokens) <= 1, about)
    verdict.demand(
        "a right code is never called wrong", not one.checks["right wrong_code"], about, excuse=promoted
    )
    seen = not one.code or one.code in {row["code"] for row in inbox}
    verdict.demand("the judge has the messages that people had", seen, about)
    deliveries = one.last.get("deliveries", [])
    ended = one.last.get("status", "") == "undeliverable" or bool(inbox)
    verdict.demand("an accepted send ends", ended, about, excuse=promoted)
    through = deliveries and deliveries[-1]["status"] not in NOT_THROUGH
    verdict.demand("no delivery is stuck", through, about, excuse=promoted)
    for channel, count in Counter(row["channel"] for row in inbox).items():
        unknown = sum(d["channel"] == channel and d["status"] == "unknown" for d in deliveries)
        holds = count <= 1 + unknown
        verdict.demand("no message twice without need", holds, f"{channel} {count}: {about}", excuse=promoted)


def _meets(one: Journey, promotions: Sequence[float]) -> bool:
    return any(one.began - FOUND_WITHIN <= moment <= one.ended + FOUND_WITHIN for moment in promotions)
