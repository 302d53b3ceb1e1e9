"""Promotes a replica again and again, each time with a link cut, and counts what was used twice.

`python -m tests.system.promotions 200` prints the count and ends with an error if anything was; with `--wait 0` it
shows what asynchronous replication alone loses.
"""

import argparse
import random
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from otp_service.bootstrap.stores import Stores
from otp_service.errors import Busy, OtpError, StoreUnavailable
from otp_service.store.connection import connect
from otp_service.store.replication import Durability
from otp_service.store.scripts import Scripts
from tests.support.deployments import ask
from tests.support.fault_proxy import FaultProxy
from tests.support.patience import PATIENT_LIMITS, until
from tests.support.ports import HOST, free_port
from tests.support.spine import NUMBERS, PLAN, Spine, make_spine, together
from tests.support.valkey_server import ValkeyServer

RIGHT, WRONG = "123456", "654321"
WAIT_MS = 400
"""Milliseconds to wait for a replica: on a slow machine all the proxies here take their turns first."""
AT_ONCE = 8
"""Requests of each kind before and again after the promotion."""


class Front(FaultProxy):
    """The address of whichever server takes writes now."""

    def point_to(self, server: Path) -> None:
        """Break all connections; new ones go to this server."""
        self._upstream = server
        self.cut()


@dataclass
class Tally:
    """What happened in all rounds."""

    rounds: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    twice: list[str] = field(default_factory=list)
    """What must not happen: codes verified twice, tokens redeemed twice, guesses too many."""

    def __str__(self) -> str:
        """Say it in two lines."""
        answers = ", ".join(f"{count} {what}" for what, count in sorted(self.answers.items()))
        return f"{self.rounds} promotions: {answers}\nused twice: {Counter(self.twice) or 'nothing'}"


@contextmanager
def servers(count: int) -> Iterator[list[ValkeyServer]]:
    """Start servers of which any may lead."""
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            made.append(ValkeyServer(port=free_port(), options={"repl-diskless-sync-delay": "0"}))
            stack.callback(made[-1].close)
        yield made


def follow(replica: ValkeyServer, port: int) -> None:
    """Let a server follow what listens on a port, and wait until it has caught up."""
    ask(replica, "REPLICAOF", HOST, port)
    until(lambda: ask(replica, "INFO", "replication")["master_link_status"] == "up")


def spine_on(front: Front, wait: int) -> Spine:
    """Make the use cases on the servers behind an address."""
    scripts = Scripts(
        lambda: connect(front.url, connections=4 * AT_ONCE, name="test", limits=PATIENT_LIMITS),
        lambda _name, _seconds: None,
        limits=PATIENT_LIMITS,
        durability=Durability(wait, WAIT_MS),
    )
    return make_spine(scripts, store=Stores(scripts, prefix=f"t{secrets.token_hex(6)}", partitions=4))


@dataclass(frozen=True)
class Round:
    """One promotion: a code to verify, a challenge to guess at, and a token to redeem."""

    spine: Spine
    verified: str
    guessed: str
    token: str

    @classmethod
    def begin(cls, spine: Spine, number: str) -> "Round":
        """Deliver a code for each of the three."""
        ids = [spine.opened(number) for _ in range(3)]
        for id_ in ids:
            spine.code_for(id_, RIGHT)
        return cls(spine, ids[0], ids[1], _prove(spine, ids[2]))

    def attack(self, meanwhile: Callable[[], None] = lambda: None) -> list[str]:
        """Use everything at once, each time with another key; `meanwhile` happens among it. Return what succeeded."""
        place = random.randrange(3 * AT_ONCE)

        def act(n: int) -> str:
            if n == place:
                meanwhile()
            return self._use(n)

        results = together(3 * AT_ONCE, act)
        assert not [result for result in results if isinstance(result, Exception)], results
        return [str(result) for result in results]

    def _use(self, n: int) -> str:
        spine, key = self.spine, secrets.token_hex(11)
        try:
            match n % 3:
                case 0:
                    spine.check.verify(spine.caller, self.verified, RIGHT, idempotency_key=key)
                    return "verified"
                case 1:
                    spine.check.verify(spine.caller, self.guessed, WRONG, idempotency_key=key)
                    raise AssertionError("a wrong code was right")
                case _:
                    spine.redeem.redeem(spine.caller, self.token, idempotency_key=key)
                    return "redeemed"
        except OtpError as error:
            return error.code


def _prove(spine: Spine, id_: str) -> str:
    """Verify a challenge, as often as replicas are slow to confirm it."""
    key, tokens = secrets.token_hex(11), list[str]()

    def verify() -> bool:
        with suppress(Busy, StoreUnavailable):
            tokens.append(spine.check.verify(spine.caller, id_, RIGHT, idempotency_key=key).token)
        return bool(tokens)

    until(verify)
    return tokens[0]


def judge(tally: Tally, answers: list[str]) -> None:
    """Count the answers of a round, and name what happened too often."""
    found = Counter(answers)
    tally.rounds += 1
    tally.answers += found
    for what, most in (("verified", 1), ("redeemed", 1), ("wrong_code", PLAN.max_attempts)):
        tally.twice += [what] * max(0, found[what] - most)


def promote(rounds: int, *, wait: int = 1, report: Callable[[Tally], None] = lambda _: None) -> Tally:
    """Promote so many times. The link of one replica is cut while everything is in use.

    By turns the only replica is cut and promoted all the same, or another one is, which has what was confirmed.
    """
    tally = Tally()
    with servers(3) as (leader, second, third), Front(leader.socket) as front:
        spine = spine_on(front, wait)
        order = [leader, second, third]
        for number in range(rounds):
            order = _promote_once(order, front, spine, tally, alone=number % 2 == 0)
            report(tally)
        spine.scripts.close()
    return tally


def _promote_once(
    order: list[ValkeyServer], front: Front, spine: Spine, tally: Tally, *, alone: bool
) -> list[ValkeyServer]:
    leader, heir, other = order
    with ExitStack() as stack:
        links = [FaultProxy(leader.socket) for _ in range(2)]
        open_links = [stack.enter_context(ExitStack()) for _ in links]
        for link, held in zip(links, open_links, strict=True):
            held.enter_context(link)
        follow(heir, links[0].port)
        if alone:
            ask(other, "REPLICAOF", "NO", "ONE")
        else:
            follow(other, links[1].port)
        started = Round.begin(spine, NUMBERS[tally.rounds % len(NUMBERS)])
        answers = started.attack(open_links[0 if alone else 1].close)
        ask(heir, "REPLICAOF", "NO", "ONE")
    front.point_to(heir.socket)
    follow(other, heir.port)
    answers += started.attack()
    judge(tally, answers)
    return [heir, other, leader]


def main(arguments: list[str]) -> int:
    """Promote, print the tally; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.promotions", description=__doc__)
    parser.add_argument("rounds", type=int, help="how many promotions")
    parser.add_argument("--wait", type=int, default=1, help="replicas to wait for; default: 1")
    given = parser.parse_args(arguments)
    tally = promote(given.rounds, wait=given.wait)
    print(tally)  # noqa: T201 - the answer of the command
    return 1 if tally.twice else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
