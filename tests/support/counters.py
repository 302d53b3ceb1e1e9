"""The guard's counters on a real server with a clock of the test's own, and rules that leave one another alone."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from otp_service.crypto.sealing import Seal
from otp_service.guard.blocks import Block, BlockStore
from otp_service.guard.decision import Decision
from otp_service.guard.history import History
from otp_service.guard.limiter import Allowance, Limiter
from otp_service.guard.lines import Line
from otp_service.guard.networks import subscriber
from otp_service.guard.pins import PinNames, PinStore, pin_names
from otp_service.guard.rules import GuardedSend, lines_of_send
from otp_service.phone import parse
from otp_service.policy import Guard
from otp_service.policy.guard_forms import FORMS, changed
from otp_service.policy.limits import Countries, Rule
from otp_service.store.scripts import Scripts
from tests.support.spine import PatientScripts
from tests.support.valkey_server import ValkeyServer

KEEP = 86_400_000
"""Milliseconds that ended blocks are told here."""
BRINGS_NOTHING, NO_PINS = Allowance(), PinNames()
NUMBER, OTHER, ADDRESS = "+14155552671", "+14155559999", "192.0.2.1"
SMALL = {"refuse": ["1/h"]}
"""A budget of one act."""


def only(tables: Mapping[str, Mapping[str, Any]] | None = None, **more: Any) -> Guard:  # noqa: ANN401 - any field
    """Give rules that are off but for those of some tables, which are read as a policy's are."""
    quiet = {name: replace(rule, mode="off") for name, rule in Guard().rules().items()}
    quiet["countries"] = Countries(mode="off", allow=("*",))
    base = replace(Guard(**quiet), **more)  # type: ignore[arg-type]  # each is of its own kind
    return changed(base, {name: read(base, name, table) for name, table in (tables or {}).items()})


def read(base: Guard, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Read a table of `[guard]` into what it changes; every tier and share that it does not name is empty."""
    form = FORMS[name]
    tiers = ("human_check", "cheap", "refuse", "trickle")
    empty: dict[str, Any] = {tier: () for tier in tiers if hasattr(getattr(base, name), tier)}
    empty |= {part: 0.0 for part in ("reserved", "ratio") if hasattr(getattr(base, name), part)}
    on = {"mode": "enforce"} if isinstance(getattr(base, name), Rule) else {}
    return {**empty, **on, **form.build(form.load(table))}


class Counters:
    """The guard's stores with keys and a time of their own."""

    def __init__(self, scripts: Scripts, server: ValkeyServer | None = None) -> None:
        self.prefix = f"t{secrets.token_hex(6)}"
        self.seal = Seal(
            {"n1": secrets.token_bytes(32)},
            {"l1": secrets.token_bytes(32)},
            subject_key=secrets.token_bytes(32),
        )
        self.scripts = scripts
        self.limiter = Limiter(scripts, self.seal, prefix=self.prefix, keep_blocks=KEEP)
        self.blocks = BlockStore(scripts, self.seal, prefix=self.prefix)
        self.pins = PinStore(scripts, prefix=self.prefix)
        self.history = History(scripts, self.seal, self.pins, prefix=self.prefix)
        self._server = server

    def charge(
        self, rules: Guard, asked: GuardedSend, operation: str = "", allowance: Allowance = BRINGS_NOTHING
    ) -> Decision:
        """Charge a send."""
        return self.lined(lines_of_send(rules, asked), operation, allowance, self.pins_of(asked))

    def lined(
        self,
        lines: Sequence[Line],
        operation: str = "",
        allowance: Allowance = BRINGS_NOTHING,
        pins: PinNames = NO_PINS,
    ) -> Decision:
        """Charge lines."""
        return self.limiter.charge(lines, operation or secrets.token_hex(8), allowance, pins)

    def preview(self, rules: Guard, asked: GuardedSend, allowance: Allowance = BRINGS_NOTHING) -> Decision:
        """Give what would be decided."""
        return self.limiter.preview(lines_of_send(rules, asked), allowance, self.pins_of(asked))

    def pins_of(self, asked: GuardedSend) -> PinNames:
        """Name the pins of a send."""
        caller = None if asked.address is None else subscriber(asked.address)
        return pin_names(self.seal, asked.number.e164, caller)

    def pin_of_number(self, e164: str) -> str:
        """Name the pin of a number."""
        return f"number {self.seal.index('number', e164)}"

    def block(self, rule: str) -> Block:
        """Give the one block of a rule."""
        [found] = [block for block in self.blocks.longest() if block.rule == rule]
        return found

    def stored(self) -> dict[str, Any]:
        """Read all keys and what they hold directly from the server."""
        assert self._server is not None
        with self._server.client() as client:
            found: dict[str, Any] = {}
            for key in client.scan_iter(f"{{{self.prefix}:guard}}*", count=100_000):
                kind = client.type(key)
                if kind == "hash":
                    found[key] = client.hgetall(key)
                elif kind == "zset":
                    found[key] = client.zrange(key, 0, -1, withscores=True)
                else:
                    found[key] = client.get(key)
            return found

    def lives(self) -> dict[str, int]:
        """Give the milliseconds that each key has left, by its scope."""
        assert self._server is not None
        with self._server.client() as client:
            keys = list(client.scan_iter(f"{{{self.prefix}:guard}}*", count=100_000))
            return {key.split("}:")[1].partition(":")[0]: int(client.pttl(key)) for key in keys}


def asked(number: str = NUMBER, **more: Any) -> GuardedSend:  # noqa: ANN401 - the fields of GuardedSend
    """Make what is known of a send by a stranger's browser."""
    values: dict[str, Any] = {"app": "web", "purpose": "login", "address": ADDRESS, **more}
    return GuardedSend(number=parse(number), **values)


@contextmanager
def open_counters(server: ValkeyServer) -> Iterator[Counters]:
    """Give counters on a server."""
    scripts = PatientScripts(server)
    yield Counters(scripts, server)
    scripts.close()


def passes(decision: Decision) -> bool:
    """Say whether a send is let in."""
    return decision.verdict in {"allow", "cheap"}
