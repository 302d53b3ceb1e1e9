"""The Lua scripts of this package, and the commands that run them.

Knows where scripts lie, and which of them take the time. Must not know what a script means, or who runs it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from otp_service.store.held import Command

PACKAGE = Path(__file__).parents[1]
_INCLUDE = re.compile(r"^-- include: (\w+)\n", re.MULTILINE)
"""A line in a script that is replaced by the file of that name below an `includes/`; `now` is the store's time."""


class Call(NamedTuple):
    """A script with its keys, which share a slot, and its arguments."""

    name: str
    keys: Sequence[str]
    arguments: Sequence[str | float] = ()


class Sources:
    """All scripts by name. Which of them a server knows is remembered, so that they are sent once."""

    def __init__(self, includes: Mapping[str, str] | None = None) -> None:
        """`includes` take the place of those of the same name: a test brings a clock that stands."""
        included = _texts("*/lua/includes/*.lua") | dict(includes or {})
        written = _texts("*/lua/*.lua")
        self._timed = {name for name, source in written.items() if "now" in _INCLUDE.findall(source)}
        self._sources = {
            name: _INCLUDE.sub(lambda line: included[line[1]], source) for name, source in written.items()
        }
        self._hashes: dict[str, str] = {}

    def are_sent(self, calls: Iterable[Call]) -> bool:
        """Tell whether the server was sent these scripts. It may have dropped any since."""
        return all(call.name in self._hashes for call in calls)

    def record_sent(self, calls: Iterable[Call]) -> None:
        """Remember that the server was sent these scripts."""
        self._hashes |= {call.name: _sha1(self._sources[call.name]) for call in calls}

    def by_hash(self, calls: Iterable[Call], offset: int) -> list[Command]:
        """Return the commands that run scripts which the server knows. `offset` moves their time (milliseconds)."""
        return [("EVALSHA", self._hashes[call.name], *self._operands(call, offset)) for call in calls]

    def whole(self, calls: Iterable[Call], offset: int) -> list[Command]:
        """Return the commands that send scripts and run them."""
        return [("EVAL", self._sources[call.name], *self._operands(call, offset)) for call in calls]

    def _operands(self, call: Call, offset: int) -> Command:
        moved = (offset,) if call.name in self._timed else ()
        return len(call.keys), *call.keys, *moved, *call.arguments


def _texts(pattern: str) -> dict[str, str]:
    """Return the text of each file by its name without the ending."""
    return {file.stem: file.read_text(encoding="utf-8") for file in PACKAGE.glob(pattern)}


def _sha1(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
