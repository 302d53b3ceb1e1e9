"""Pins: an operator's order to always allow, or always refuse, a number, a prefix or an address.

Knows how pins are named and stored. Must not know who may set one, or when one decides a send.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otp_service.crypto.sealing import Seal
from otp_service.errors import Invalid
from otp_service.guard.slot import REMEMBER, Slot
from otp_service.store.scripts import Scripts

MOST_PINS = 1000
"""Pins that may be set at once. One that has ended makes room for a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinNames:
    """The names of all pins that could decide one send, the most exact first."""

    destinations: Sequence[str] = ()
    callers: Sequence[str] = ()


def pin_names(seal: Seal, e164: str, subscriber: str | None) -> PinNames:
    """Name the pins that could decide a send: of the number, of its prefixes, and of the caller's address."""
    numbers = [f"number {index}" for index in seal.indexes("number", e164)]
    prefixes = [f"prefix {e164[:size]}" for size in range(len(e164) - 1, 1, -1)]
    callers = [] if subscriber is None else [f"address {subscriber}"]
    return PinNames(destinations=[*numbers, *prefixes], callers=callers)


class PinStore:
    """The stored pins, by name. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, *, prefix: str, most: int = MOST_PINS) -> None:
        self._scripts = scripts
        self._most = most
        self._slot = Slot(prefix)
        self._key = self._slot.key("pins")

    def write(self, name: str, pin: Mapping[str, Any]) -> None:
        """Write a pin, in place of any other of this name. Raises Invalid if there are MOST_PINS others."""
        if self._call(name, json.dumps(pin)) < 0:
            rule = f"must be one of at most {self._most} pins; remove others first, or pin a prefix instead"
            raise Invalid({"subject": [rule]})

    def remove(self, name: str) -> bool:
        """Remove a pin; False if there was none."""
        return bool(self._call(name))

    def read_all(self) -> dict[str, dict[str, Any]]:
        """Return all pins by name."""
        found = self._scripts.call("read_hash", [self._key])
        return {name: json.loads(pin) for name, pin in zip(found[::2], found[1::2], strict=True)}

    def _call(self, name: str, *record: str) -> int:
        keys = [self._key, self._slot.new_operation()]
        return int(self._scripts.call("guard_pin", keys, name, REMEMBER, self._most, *record))

    def rename(self, old: str, pin: Mapping[str, Any], new: str, instead: Mapping[str, Any]) -> bool:
        """Replace a pin by one under another name, or under its own; False if it has changed meanwhile."""
        written = old, json.dumps(pin), new, json.dumps(instead)
        return bool(self._scripts.call("guard_rename_pin", [self._key], *written))
