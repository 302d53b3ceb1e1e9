"""Blocks: operators list what the guard refuses, ask why, and lift it.

Brings the guard's blocks and the audit log together. Must not know HTTP, a terminal or Redis. Numbers come out masked.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from typing import Any

from otp_service import phone
from otp_service.crypto.lifetimes import DEVICE_LIFETIME
from otp_service.errors import Invalid, NoRoute, NotFound
from otp_service.guard.blocks import Block, BlockStore
from otp_service.guard.history import History
from otp_service.guard.lines import MARKS
from otp_service.guard.preview import Preview
from otp_service.guard.rules import FAMILIARITY, LINE_DIGITS, GuardedSend, Known, limits_of, lines_of_send
from otp_service.ops.audit import AuditNote, mask_address
from otp_service.ops.scope import EVERYTHING, Scope
from otp_service.policy import Guard, Policy
from otp_service.telemetry.logs import Record

_OF_ONE_APP = frozenset({"session", "app", "money", "unproven"})
"""Rules whose counters belong to one app; their subjects begin with it."""
SEARCHED, BATCH = 10_000, 100
"""Blocks that are looked through for those of some apps, the longest first, and how many are read at once."""
BLOCK_ID = re.compile(rf"(?:{'|'.join(MARKS)}):[a-z-]{{1,20}}:[A-Za-z0-9_-]{{0,22}}")


class Blocks:
    """The operators' view of blocks. Its methods raise StoreUnavailable."""

    def __init__(
        self,
        *,
        blocks: BlockStore,
        history: History,
        preview: Preview,
        clock: Callable[[], int],
        record: Record,
    ) -> None:
        """`clock` gives the store's time in milliseconds, and `record` writes each act down."""
        self._record = record
        self._blocks = blocks
        self._history = history
        self._preview = preview
        self._clock = clock

    def read_all(
        self, policy: Policy, limit: int = 100, *, scope: Scope = EVERYTHING
    ) -> list[dict[str, Any]]:
        """List blocks, those that last longest first. A block of a rule that the policy sets off is not active.

        Blocks of counters that apps share are within the scope of everything alone.
        """
        now = self._clock()
        found = islice(self._of_apps(scope), limit) if scope.is_limited else self._blocks.longest(limit)
        return [_shown(block, now, _guards_of(policy, block)) for block in found]

    def _of_apps(self, scope: Scope) -> Iterator[Block]:
        """Yield the blocks of the apps of a scope, those that last longest first."""
        ids = self._blocks.longest_ids(SEARCHED, rules=_OF_ONE_APP)
        for first in range(0, len(ids), BATCH):
            found = self._blocks.read_each(ids[first : first + BATCH])
            yield from (block for block in found if scope.has(_app_of(block)))

    def explain(
        self,
        policy: Policy,
        to: str,
        country: str | None = None,
        *,
        app: str | None = None,
        purpose: str = "login",
        address: str | None = None,
        session: str = "",
        device: bool = False,
    ) -> dict[str, Any]:
        """Say what the guard would decide now about a send, rule by rule, and which blocks take part in it.

        `session` is one that a server names; with `device` the caller shows the token of a known device.
        Raises InvalidNumber, or Invalid if there is no such app or `address` is none.
        """
        name = app or next(iter(policy.apps))
        if name not in policy.apps:
            raise Invalid({"app": [f"there is no app {name}"]})
        _check_address(address)
        rules = policy.guard_of(name)
        number = phone.parse(to, country, possible=True)
        met = session and self._history.read_past(number.e164, name, session, DEVICE_LIFETIME).met
        unknown: Known = "session" if session else "" if address else "server"
        known: Known = "device" if device else "returning" if met else unknown
        asked = GuardedSend(
            number=number, app=name, purpose=purpose, address=address, session=session, known=known
        )
        decision, now = self._preview.decide(rules, asked), self._clock()
        lines = lines_of_send(rules, asked)
        found = self._blocks.read_each([id_ for line in lines if (id_ := self._blocks.id_of(line))])
        return {
            "to": phone.mask(number.e164),
            "country": number.country,
            "app": name,
            "known": known,
            **_route(policy, asked),
            "verdict": decision.verdict,
            "findings": [asdict(one) for one in decision.findings],
            "rules": list(limits_of(rules, lines)),
            "blocks": [_shown(block, now, [rules]) for block in found],
        }

    def lift(self, id_: str, audit: AuditNote, *, scope: Scope = EVERYTHING) -> None:
        """Forget a block and what was counted behind it. Raises NotFound, also for one outside a scope."""
        block = self._blocks.read(id_) if BLOCK_ID.fullmatch(id_) else None
        if not block or not scope.has(_app_of(block)) or not self._blocks.lift(id_):
            raise NotFound("There is no such block, or it was lifted before.")
        about = {"rule": block.rule, "subject": _logged(block)}
        of_app = {"app": app} if (app := _app_of(block)) else {}
        self._record("block.lifted", **about, **of_app, by=audit.by, reason=audit.reason)


def _route(policy: Policy, asked: GuardedSend) -> dict[str, Any]:
    """Show the route that serves a send, with its split; its place is None if there is none: nothing would leave."""
    with suppress(NoRoute):
        place, route = policy.route_for(asked.number, asked.app, asked.purpose)
        split = asdict(route.split) if route.split else None
        return {"route": place, "steps": [step.channel for step in route.steps], "split": split}
    return {"route": None, "steps": [], "split": None}


def _check_address(address: str | None) -> None:
    try:
        ipaddress.ip_address(address or "::")
    except ValueError:
        raise Invalid({"address": ["must be an IP address"]}) from None


def _guards_of(policy: Policy, block: Block) -> list[Guard]:
    """List the rules under which a block may be met: those of its app, or of all apps if they share the counter."""
    return [policy.guard_of(app) for app in policy.apps if _app_of(block) in {app, ""}]


def _app_of(block: Block) -> str:
    """Return the app to which a block belongs; empty if all apps share the counter."""
    return block.subject.partition(" ")[0] if block.rule in _OF_ONE_APP else ""


def _shown(block: Block, now: int, guards: Iterable[Guard]) -> dict[str, Any]:
    modes = {getattr(guard, block.rule).mode for guard in guards} - {"off"}
    return {
        **asdict(block),
        "subject": masked(block),
        "on": modes == {"enforce"} if len(modes) == 1 else block.on,
        "active": bool(modes) and block.until > now,
    }


def masked(block: Block) -> str:
    """Show the subject of a block, with the digits masked that an operator does not need."""
    digits, _, known = block.subject.partition(" ")
    if phone.E164.fullmatch(digits) and block.rule in {"number", "cooldown", "failures", "consecutive"}:
        digits = phone.mask(digits)
    elif digits.startswith("+"):
        digits = f"{digits}{'*' * LINE_DIGITS}"
    return (
        f"{digits} ({known})" if known in FAMILIARITY and known else " ".join(filter(None, (digits, known)))
    )


def _logged(block: Block) -> str:
    """Show the subject of a block in the log, where addresses and sessions are masked, too."""
    if block.rule == "address":
        network, _, known = block.subject.partition(" ")
        return f"{mask_address(network)} ({known})" if known else mask_address(network)
    if block.rule == "session":
        return f"{block.subject.partition(' ')[0]} (a session)"
    return masked(block)
