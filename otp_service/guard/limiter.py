"""The guard's counters, blocks and pins in Redis: one script decides and charges a whole send.

Knows the keys, which share one slot. Must not know which rules there are or why anything is counted.

A library with plain windows was considered (limits, 5.x): it charges one counter a call, so a send would need ten round
trips, and a refused one would have spent what stood before the refusal.
"""

import json
import math
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from otp_service.crypto.sealing import Seal, Unsealable
from otp_service.errors import Standing
from otp_service.guard import suppressions
from otp_service.guard.rules import KINDS, MARKS, Decision, Finding, Line
from otp_service.policy.limits import Money
from otp_service.store.scripts import Scripts

REMEMBER = 10_000
"""Milliseconds that an act is known by its operation: above all repetitions of one call, and until it is refunded."""
SPENT = 600_000
"""Milliseconds that a proof is known to be spent: above the time in which one can be shown."""
SESSIONS = 32
"""Sessions that are known to have verified one number: the newest."""
_ENDLESS = 1e9
"""Stands for infinity, which JSON has no word for."""
_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """The pins that have a say in a send: names of `destinations` and `callers`, the most exact first."""

    destinations: Sequence[str] = ()
    callers: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a caller brings.

    `proof` is the id of a solved human check, which is `enough` for counters up to so far over their thresholds (as a
    share of them); `cheap` tells that cheap channels would do, `trusted` that no check is needed.
    """

    proof: str = ""
    enough: float = math.inf
    cheap: bool = False
    trusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A refusal that lasts: which rule, of whom, at what value, since when and until when, and how often it refused.

    Times are milliseconds of the store's clock. `on` is false for a rule that only watches.
    """

    id: str
    rule: str
    subject: str
    level: str
    on: bool
    value: float | None
    limit: float | None
    seconds: float | None
    since: int
    until: int
    refused: int


class Past(NamedTuple):
    """What is known of a number: when it was said to have a new owner, if it was, and whether a session verified it.

    Times are milliseconds; `now` is the store's.
    """

    now: int
    recycled: int | None
    met: bool


class Gate:
    """The counters. Every method raises StoreUnavailable when the server does not serve it in time."""

    def __init__(
        self,
        scripts: Scripts,
        seal: Seal,
        *,
        prefix: str,
        keep: int,
    ) -> None:
        """`keep` is how long ended blocks are told."""
        self._scripts = scripts
        self._seal = seal
        self._slot = f"{{{prefix}:guard}}"
        self._keep = keep

    def charge(self, lines: Sequence[Line], operation: str, allowance: Allowance, pins: Pins) -> Decision:
        """Charge a send to all lines or to none; once per operation."""
        return self._decide("charge", lines, operation, allowance, pins)

    def look(self, lines: Sequence[Line], allowance: Allowance, pins: Pins) -> Decision:
        """Say what `charge` would decide, and change nothing."""
        return self._decide("look", lines, secrets.token_urlsafe(9), allowance, pins)

    def refund(self, lines: Sequence[Line], operation: str) -> None:
        """Take the charge of an operation back, if there was one."""
        self._call("refund", lines, operation)

    def add(self, lines: Sequence[Line]) -> None:
        """Count what happened, whatever the limits."""
        self._call("add", lines, secrets.token_urlsafe(9))

    def _decide(
        self, act: str, lines: Sequence[Line], operation: str, allowance: Allowance, pins: Pins
    ) -> Decision:
        verdict, now, findings, nearest = self._call(act, lines, operation, allowance=allowance, pins=pins)
        return Decision(
            verdict=verdict,
            now=now,
            findings=tuple(_finding(one) for one in json.loads(findings)),
            standing=_standing(json.loads(nearest)),
        )

    def _call(
        self,
        act: str,
        lines: Sequence[Line],
        operation: str,
        *,
        allowance: Allowance = Allowance(),
        pins: Pins = Pins(),
    ) -> Any:  # noqa: ANN401 - the script's answer
        keys = [
            self._key("o", operation),
            self._key("blocks"),
            self._key("pins"),
            self._key("proof", allowance.proof),
        ]
        writer = _Writer(self._seal, self._counter, keys, named=act in {"charge", "look"})
        plan = {
            "keep": self._keep,
            "remember": REMEMBER,
            "spent": SPENT,
            "proof": bool(allowance.proof),
            "enough": min(allowance.enough, _ENDLESS),
            "cheap": allowance.cheap,
            "trusted": allowance.trusted,
            "destinations": list(pins.destinations),
            "callers": list(pins.callers),
            "lines": [writer.written(line) for line in lines],
            "whose": writer.whose,
        }
        return self._scripts.call("guard", keys, act, _ENCODER.encode(plan))

    def _key(self, scope: str, name: str = "") -> str:
        return f"{self._slot}:{scope}:{name}" if name else f"{self._slot}:{scope}"

    def _operation(self) -> str:
        return self._key("o", secrets.token_urlsafe(9))

    def _counter(self, scope: str, index: str) -> str:
        """Name a counter; a block's id is its rule and what follows the slot here."""
        return f"{self._slot}:{scope}:{index}"

    # Blocks.

    def blocks(self, limit: int = 100) -> list[Block]:
        """List blocks, those that last longest first."""
        ids = self._scripts.call("guard_blocks", [self._key("blocks")], limit)
        return [block for id_ in ids if (block := self.block(id_))]

    def id_of(self, line: Line) -> str:
        """Name the block that a line may have; empty for one that keeps no counter."""
        if line.kind in {"fixed", "kept"}:
            return ""
        return f"{line.rule}:{line.scope}:{_index(self._seal, line)}"

    def block(self, id_: str) -> Block | None:
        """Give a block; None if there is none, or no longer."""
        rule, scope, index = id_.split(":")
        key = self._counter(scope, index)
        stored = self._scripts.call("guard_block", [key], f"{MARKS[rule]}block")
        return self._block(id_, index, json.loads(stored)) if stored else None

    def _block(self, id_: str, index: str, stored: Mapping[str, Any]) -> Block:
        who, ms, rule = stored["who"], stored.get("ms"), id_.partition(":")[0]
        return Block(
            id=id_,
            rule=rule,
            subject=self._opened(who[1:], index) if who.startswith("~") else who,
            level=stored["level"],
            on=stored["on"],
            value=_whole(rule, stored["value"]) if "value" in stored else None,
            limit=_whole(rule, stored["limit"]) if "limit" in stored else None,
            seconds=None if ms is None else ms / 1000,
            since=stored["since"],
            until=stored["until"],
            refused=stored["refused"],
        )

    def _opened(self, sealed: str, index: str) -> str:
        try:
            return self._seal.open(sealed, index)
        except Unsealable:
            return "(sealed with a key that is gone)"

    def lift(self, id_: str) -> bool:
        """Forget a block and the counter behind it; False if there was none."""
        rule, scope, index = id_.split(":")
        if rule not in MARKS:
            return False
        keys = [self._key("blocks"), self._counter(scope, index), self._operation()]
        return bool(self._scripts.call("guard_lift", keys, id_, MARKS[rule], REMEMBER))

    # Pins.

    def pin(self, name: str, pin: Mapping[str, Any]) -> None:
        """Keep a pin under its name."""
        self._scripts.call(
            "guard_pin", [self._key("pins"), self._operation()], name, REMEMBER, json.dumps(pin)
        )

    def unpin(self, name: str) -> bool:
        """Take a pin away; False if there was none."""
        return bool(self._scripts.call("guard_pin", [self._key("pins"), self._operation()], name, REMEMBER))

    def pins(self) -> dict[str, dict[str, Any]]:
        """Give all pins by name."""
        found = self._scripts.call("read_hash", [self._key("pins")])
        return {name: json.loads(pin) for name, pin in zip(found[::2], found[1::2], strict=True)}

    def repin(self, old: str, pin: Mapping[str, Any], new: str, instead: Mapping[str, Any]) -> bool:
        """Write a pin anew under another name or its own; False if it is another by now."""
        written = old, json.dumps(pin), new, json.dumps(instead)
        return bool(self._scripts.call("guard_repin", [self._key("pins")], *written))

    # What is kept of numbers.

    def forget(self, e164: str) -> int:
        """Forget all that is counted, pinned and kept of a number but its suppression; gives how much there was."""
        counters = [index for known in KINDS for index in self._seal.indexes("number", e164, known)]
        keys = [
            self._key("blocks"),
            *(self._counter("number", index) for index in counters),
            *(self._key("r", index) for index in self._seal.indexes("recycled", e164)),
            *self._met(e164),
        ]
        blocks = [
            f"{rule}:number:{index}" for rule in ("number", "cooldown", "failures") for index in counters
        ]
        unpinned = sum(self.unpin(f"number {index}") for index in self._seal.indexes("number", e164))
        return int(self._scripts.call("guard_forget", keys, *blocks)) + unpinned

    def meet(self, app: str, session: str, e164: str, seconds: int) -> None:
        """Keep that a session of an app verified a number, for so long."""
        name = self._seal.index("session", app, session)
        self._scripts.call("guard_meet", self._met(e164)[:1], name, seconds * 1000, SESSIONS)

    def _met(self, e164: str) -> list[str]:
        return [self._key("k", index) for index in self._seal.indexes("met", e164)]

    def recycle(self, e164: str, at: int, seconds: int) -> None:
        """Keep that a number has, or may have, a new owner."""
        self._scripts.call("keep", [self._key("r", self._seal.index("recycled", e164))], at, seconds * 1000)

    def past(self, e164: str, app: str = "", session: str = "", seconds: int = 0) -> Past:
        """Give what is known of a number's past; a session counts that verified it within `seconds`."""
        recycled = [self._key("r", index) for index in self._seal.indexes("recycled", e164)]
        names = self._seal.indexes("session", app, session) if session else ()
        met = self._met(e164) if session else []
        now, since, has_met = self._scripts.call(
            "guard_past", [*recycled, *met], len(recycled), seconds * 1000, *names
        )
        return Past(now, int(since) if since else None, bool(has_met))


KEPT = {"suppression": suppressions.SCOPE, "recycled": "r"}
"""Scopes of the keys that hold lists of numbers."""
KEPT_AS = {"suppression": "suppressed", "recycled": "recycled"}


class _Writer:
    """Writes the lines of one call as the script reads them; several name the same subject."""

    def __init__(self, seal: Seal, key: Callable[[str, str], str], keys: list[str], *, named: bool) -> None:
        """`keys` grows by those that lines name; `named` tells that the script may keep whose counter it was."""
        self._seal = seal
        self._key = key
        self._keys = keys
        self._named = named
        self._places: dict[str, int] = {}
        self._indexes: dict[tuple[str, tuple[str, ...]], str] = {}
        self.whose: list[str] = []
        """Whose counter each key that `keys` grew by is: of a person only so that the store alone tells nothing."""

    def written(self, line: Line) -> dict[str, Any]:
        """Write a line; adds the keys that it names."""
        written = {"rule": line.rule, "owner": line.owner, "kind": line.kind, "on": line.on, **line.figures}
        if line.kind == "fixed":
            return written
        if line.kind == "kept":
            names = self._seal.indexes(KEPT_AS[line.scope], *line.subject)
            return written | {"keys": [self._place(KEPT[line.scope], name) for name in names]}
        index = self._index(line)
        return written | {
            "mark": MARKS[line.rule],
            "of": line.of,
            "cost": line.cost,
            "keys": [self._place(line.scope, index, line)],
        }

    def _index(self, line: Line) -> str:
        counter = line.scope, line.subject
        if counter not in self._indexes:
            self._indexes[counter] = _index(self._seal, line)
        return self._indexes[counter]

    def _place(self, scope: str, name: str, line: Line | None = None) -> int:
        key = self._key(scope, name)
        if key not in self._places:
            self._keys.append(key)
            self.whose.append(self._who(line, name) if line and self._named else "")
            self._places[key] = len(self._keys)
        return self._places[key]

    def _who(self, line: Line, index: str) -> str:
        text = " ".join(part for part in line.subject if part)
        return f"~{self._seal.close(text, index)}" if line.private else text


def _index(seal: Seal, line: Line) -> str:
    return seal.index(line.scope, *line.subject) if line.subject else ""


def names_of_pins(seal: Seal, e164: str, subscriber: str | None) -> Pins:
    """Name the pins that have a say in a send: of the number, of how it begins, of the caller's address."""
    numbers = [f"number {index}" for index in seal.indexes("number", e164)]
    prefixes = [f"prefix {e164[:size]}" for size in range(len(e164) - 1, 1, -1)]
    callers: Iterable[str] = () if subscriber is None else [f"address {subscriber}"]
    return Pins(destinations=[*numbers, *prefixes], callers=list(callers))


def _whole(rule: str, counted: float) -> float:
    """Give a counter's figure in what its limits are written in."""
    return counted / Money.unit if rule == "money" else counted


def _finding(found: Mapping[str, Any]) -> Finding:
    return Finding(
        rule=found["rule"],
        level=found["level"],
        value=_whole(found["rule"], found["value"]),
        limit=_whole(found["rule"], found["limit"]),
        seconds=found["ms"] / 1000,
        pause=int(found["pause"]),
        over=float(found["over"]),
        on=found["on"],
    )


def _standing(found: Mapping[str, Any] | None) -> Standing | None:
    if found is None:
        return None
    return Standing(
        rule=found["rule"],
        limit=int(_whole(found["rule"], found["limit"])),
        seconds=int(found["ms"]) // 1000,
        left=max(0, int(_whole(found["rule"], found["left"]))),
        reset=max(1, -(-int(found["pause"]) // 1000)),
    )
