"""The suppression list: numbers that asked for no more messages.

Knows the list's keys, which share the guard's slot. Must not know numbers: it is given the HMACs that name them.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from otp_service.guard.slot import Slot
from otp_service.store.scripts import Scripts
from otp_service.store.sources import Call

SCOPE = "x"


class Suppressions:
    """The list. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._scripts = scripts
        self._slot = Slot(prefix)

    def key(self, name: str) -> str:
        """Name the key of a number. All keys share one slot, so one call can read the names of all lookup keys."""
        return self._slot.key(SCOPE, name)

    def add(self, name: str, why: Mapping[str, Any], seconds: int) -> None:
        """Put a number on the list for so many seconds."""
        self._scripts.call("put", [self.key(name)], json.dumps(why), seconds * 1000)

    def read(self, *names: str) -> dict[str, Any] | None:
        """Return the record of a number under any of its names; None if it is not on the list."""
        call = self.reading(*names)
        found = self._scripts.call(call.name, call.keys)
        return json.loads(found) if found else None

    def reading(self, *names: str) -> Call:
        """Return the call that reads a number, and answers nothing if it is not on the list."""
        return Call("read_first", [self.key(name) for name in names])

    def remove(self, *names: str) -> bool:
        """Take a number off the list under all of its names; False if it was not on it."""
        return bool(self._scripts.call("delete", [self.key(name) for name in names]))

    def walk(self) -> Iterator[list[tuple[str, dict[str, Any]]]]:
        """Yield the list in batches of names and records."""
        for batch in self._scripts.walk(self.key("*"), "walk"):
            yield [(key.rpartition(":")[2], json.loads(value)) for key, value in batch]

    def rename(self, old: str, why: Mapping[str, Any], new: str, instead: Mapping[str, Any]) -> bool:
        """Replace a record by one under another name, or under its own; False if it has changed meanwhile."""
        keys = [self.key(old), self.key(new)]
        return bool(self._scripts.call("rename", keys, json.dumps(why), json.dumps(instead)))
