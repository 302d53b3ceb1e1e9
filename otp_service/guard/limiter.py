"""The limiter: one script judges all lines of a send and charges all of them or none.

Knows how lines are written for the script. Must not know which rules there are or why anything is counted.

Libraries with plain windows (limits, 5.x) charge one counter a call. A send would need ten round trips, and a refused
send would already have charged the counters before the refusal.
"""

import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from otp_service.crypto.sealing import Seal
from otp_service.errors import Standing
from otp_service.guard import history, suppressions
from otp_service.guard.decision import Decision, Finding, in_units
from otp_service.guard.lines import MARKS, Line
from otp_service.guard.pins import PinNames
from otp_service.guard.slot import CHARGED, REMEMBER, Slot, counter_index
from otp_service.store.scripts import Scripts
from otp_service.store.sources import Call

SPENT = 600_000
"""Milliseconds for which a used proof is remembered: longer than one can be shown."""
PLACE_LENGTH = 8
"""Characters of the HMAC that names a network among the few that a number had messages from."""
_NO_PINS = PinNames()
_ENDLESS = 1e9
"""Stands for infinity, which JSON cannot write."""
_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)
_LISTS = {"suppression": ("suppressed", suppressions.SCOPE), "recycled": ("recycled", history.RECYCLED)}
"""For each list of numbers: what its HMACs are made for, and the scope of its keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What speaks for a caller.

    `call` names the request that asks, of several that may be the same operation: only it can undo its charge.
    `proof` is the id of a solved human check. It is `enough` for counters up to so far over their thresholds, as a
    share of them. `cheap`: a cheap channel could be used. `trusted`: no human check is needed.
    """

    call: str = ""
    proof: str = ""
    enough: float = math.inf
    cheap: bool = False
    trusted: bool = False


_NOTHING = Allowance()


class Limiter:
    """The counters. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(
        self,
        scripts: Scripts,
        seal: Seal,
        *,
        prefix: str,
        keep_blocks: int,
    ) -> None:
        """`keep_blocks` is how long ended blocks are kept, in milliseconds."""
        self._scripts = scripts
        self._seal = seal
        self._slot = Slot(prefix)
        self._keep_blocks = keep_blocks

    def charge(self, lines: Sequence[Line], operation: str, allowance: Allowance, pins: PinNames) -> Decision:
        """Charge a send to all lines or to none, once per operation."""
        return self._decide("charge", lines, operation, allowance, pins)

    def preview(
        self, lines: Sequence[Line], allowance: Allowance, pins: PinNames, operation: str = ""
    ) -> Decision:
        """Return what `charge` would decide, and change nothing. An `operation` that was charged is let in again."""
        return self._decide("preview", lines, operation or secrets.token_urlsafe(9), allowance, pins)

    def refund(self, lines: Sequence[Line], operation: str, allowance: Allowance = _NOTHING) -> None:
        """Undo the charge of an operation, if the same call was the last to ask for it. Its proof is valid again."""
        self._run(self._call("refund", lines, operation, allowance=allowance))

    def give_back(self, lines: Sequence[Line], operation: str, moment: int) -> None:
        """Undo, once for each operation, a charge that was made just before `moment` and may be forgotten by now."""
        self._run(self._call("give_back", lines, operation, moment=moment))

    def count(self, lines: Sequence[Line]) -> None:
        """Count what happened, whatever the limits say."""
        self._run(self.counting(lines, secrets.token_urlsafe(9)))

    def counting(self, lines: Sequence[Line], operation: str) -> Call:
        """Return the call that counts what happened, whatever the limits say, once for each operation."""
        return self._call("count", lines, operation)

    def _decide(
        self, act: str, lines: Sequence[Line], operation: str, allowance: Allowance, pins: PinNames
    ) -> Decision:
        verdict, now, findings, nearest = self._run(
            self._call(act, lines, operation, allowance=allowance, pins=pins)
        )
        return Decision(
            verdict=verdict,
            now=now,
            findings=tuple(_finding(found) for found in json.loads(findings)),
            standing=_standing(json.loads(nearest)),
        )

    def _call(
        self,
        act: str,
        lines: Sequence[Line],
        operation: str,
        *,
        allowance: Allowance = _NOTHING,
        pins: PinNames = _NO_PINS,
        moment: int = 0,
    ) -> Call:
        keys = [
            self._slot.operation(operation),
            self._slot.key("blocks"),
            self._slot.key("pins"),
            self._slot.key("proof", allowance.proof),
        ]
        writer = _LineWriter(self._seal, self._slot, keys, named=act in {"charge", "preview"})
        plan: dict[str, Any] = {
            "call": allowance.call,
            "keep": self._keep_blocks,
            "remember": CHARGED if act in {"charge", "give_back"} else REMEMBER,
            "spent": SPENT,
            "proof": bool(allowance.proof),
            "enough": min(allowance.enough, _ENDLESS),
            "cheap": allowance.cheap,
            "trusted": allowance.trusted,
            "destinations": list(pins.destinations),
            "callers": list(pins.callers),
            "moment": moment,
        }
        written = ",".join([writer.write(line) for line in lines])
        plan["subjects"] = writer.subjects
        return Call("guard", keys, (act, f'{_ENCODER.encode(plan)[:-1]},"lines":[{written}]}}'))

    def _run(self, call: Call) -> Any:  # noqa: ANN401 - the script's answer
        return self._scripts.call(call.name, call.keys, *call.arguments)


class _LineWriter:
    """Writes the lines of one call as the script reads them. Lines that share a counter share its key."""

    def __init__(self, seal: Seal, slot: Slot, keys: list[str], *, named: bool) -> None:
        """Append the counters' keys to `keys`. `named`: the script may store a counter's subject, for a block."""
        self._seal = seal
        self._slot = slot
        self._keys = keys
        self._named = named
        self._places: dict[str, int] = {}
        self._indexes: dict[tuple[str, tuple[str, ...]], str] = {}
        self.subjects: list[str] = []
        """The subject of each appended key; a private one is sealed, so that the store alone does not reveal it."""

    def write(self, line: Line) -> str:
        """Write a line as JSON, and append the keys that it needs. No word in it has to be escaped."""
        parts = [_head(line.rule, line.owner, line.kind, on=line.on)]
        if line.figures:
            parts.append(line.figures.written)
        if line.more:
            parts.append(_ENCODER.encode(line.more)[1:-1])
        if line.kind != "fixed":
            parts.append(f'"keys":{self._places_of(line)}')
            if line.kind != "listed":
                parts.append(f'"mark":"{MARKS[line.rule]}","of":"{line.of}","cost":{line.cost}')
                if line.place and (line.kind == "met" or "trickle" in line.figures):
                    parts.append(f'"from":"{self._seal.index("place", line.place)[:PLACE_LENGTH]}"')
        return f"{{{','.join(parts)}}}"

    def _places_of(self, line: Line) -> list[int]:
        """Name the counters of a line by their places in the keys."""
        if line.kind == "listed":
            purpose, scope = _LISTS[line.scope]
            return [self._place(scope, name) for name in self._seal.indexes(purpose, *line.subject)]
        if line.scope == "streak":  # wrong codes in a row outlive the rotation of lookup keys
            names = self._seal.indexes(line.scope, *line.subject)
            return [self._place(line.scope, name, line) for name in names]
        return [self._place(line.scope, self._index(line), line)]

    def _index(self, line: Line) -> str:
        counter = line.scope, line.subject
        if counter not in self._indexes:
            self._indexes[counter] = counter_index(self._seal, line)
        return self._indexes[counter]

    def _place(self, scope: str, name: str, line: Line | None = None) -> int:
        key = self._slot.counter(scope, name)
        if key not in self._places:
            self._keys.append(key)
            self.subjects.append(self._who(line, name) if line and self._named else "")
            self._places[key] = len(self._keys)
        return self._places[key]

    def _who(self, line: Line, index: str) -> str:
        text = " ".join(part for part in line.subject if part)
        return f"~{self._seal.close(text, index)}" if line.private else text


@cache
def _head(rule: str, owner: str, kind: str, *, on: bool) -> str:
    """Write what lines of a rule begin with."""
    return _ENCODER.encode({"rule": rule, "owner": owner, "kind": kind, "on": on})[1:-1]


def _finding(found: Mapping[str, Any]) -> Finding:
    return Finding(
        rule=found["rule"],
        level=found["level"],
        value=in_units(found["rule"], found["value"]),
        limit=in_units(found["rule"], found["limit"]),
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
        limit=int(in_units(found["rule"], found["limit"])),
        seconds=int(found["ms"]) // 1000,
        left=max(0, int(in_units(found["rule"], found["left"]))),
        reset=max(1, -(-int(found["pause"]) // 1000)),
    )
