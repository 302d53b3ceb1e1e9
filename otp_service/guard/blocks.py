"""Blocks: refusals that last, as operators see them.

Knows how a block is named and stored. Must not know when one begins: `lua/guard.lua` writes them.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otp_service.crypto.sealing import Seal, Unsealable
from otp_service.guard.decision import in_units
from otp_service.guard.lines import MARKS, Line
from otp_service.guard.slot import REMEMBER, Slot, counter_index
from otp_service.store.scripts import Scripts
from otp_service.store.sources import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A refusal that lasts: the rule, its subject, the value and limit, its start and end, and how often it refused.

    Times are milliseconds of the store's clock. `on` is False for a rule that only watches.
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


class BlockStore:
    """The stored blocks, by id. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, seal: Seal, *, prefix: str) -> None:
        self._scripts = scripts
        self._seal = seal
        self._slot = Slot(prefix)
        self._index_key = self._slot.key("blocks")

    def longest(self, limit: int = 100) -> list[Block]:
        """List blocks, those that last longest first."""
        return self.read_each(self.longest_ids(limit))

    def longest_ids(self, limit: int, *, rules: Collection[str] = MARKS) -> list[str]:
        """List the ids of those of the blocks that last longest, so many, whose rule is one of these."""
        ids = self._scripts.call("guard_list_blocks", [self._index_key], limit)
        return [id_ for id_ in ids if id_.partition(":")[0] in rules]

    def id_of(self, line: Line) -> str:
        """Name the block that a line may have; empty if the line keeps no counter."""
        if line.kind in {"fixed", "listed"}:
            return ""
        return f"{line.rule}:{line.scope}:{counter_index(self._seal, line)}"

    def read(self, id_: str) -> Block | None:
        """Return a block; None if there is none, or it is no longer kept."""
        return next(iter(self.read_each([id_])), None)

    def read_each(self, ids: Sequence[str]) -> list[Block]:
        """Return those of these blocks that are still kept, in one round trip."""
        found = self._scripts.call_in_turn([self._reading(*id_.split(":")) for id_ in ids])
        return [self._block(id_, json.loads(kept)) for id_, kept in zip(ids, found, strict=True) if kept]

    def _reading(self, rule: str, scope: str, index: str) -> Call:
        return Call("guard_read_block", [self._slot.counter(scope, index)], (f"{MARKS[rule]}block",))

    def lift(self, id_: str) -> bool:
        """Remove a block and the counter behind it; False if there was none."""
        rule, scope, index = id_.split(":")
        if rule not in MARKS:
            return False
        keys = [self._index_key, self._slot.counter(scope, index), self._slot.new_operation()]
        return bool(self._scripts.call("guard_lift_block", keys, id_, MARKS[rule], REMEMBER))

    def _block(self, id_: str, stored: Mapping[str, Any]) -> Block:
        rule, _, index = id_.split(":")
        who, ms = stored["who"], stored.get("ms")
        return Block(
            id=id_,
            rule=rule,
            subject=self._unsealed(who[1:], index) if who.startswith("~") else who,
            level=stored["level"],
            on=stored["on"],
            value=in_units(rule, stored["value"]) if "value" in stored else None,
            limit=in_units(rule, stored["limit"]) if "limit" in stored else None,
            seconds=None if ms is None else ms / 1000,
            since=stored["since"],
            until=stored["until"],
            refused=stored["refused"],
        )

    def _unsealed(self, sealed: str, index: str) -> str:
        try:
            return self._seal.open(sealed, index)
        except Unsealable:
            return "(sealed with a key that is gone)"
