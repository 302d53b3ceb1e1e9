"""The names of the keys under which challenges, and what leads to them, are stored.

Knows which keys share a slot. Must not know what is stored under them.
"""

from otp_service.store.due import DueQueue
from otp_service.store.partitions import Partitions

SCOPE = "c"
"""Scope of the keys that hold challenges."""


class ChallengeKeys:
    """Names keys. A name that ends in `*` gives the pattern of all such keys."""

    def __init__(self, partitions: Partitions, due: DueQueue) -> None:
        """`due` is the queue that schedules challenges."""
        self._partitions = partitions
        self._due = due

    def of(self, id_: str) -> list[str]:
        """Name the keys of a challenge's schedule and of the challenge, as most scripts take them."""
        return [self.schedule(id_), self.challenge(id_)]

    def challenge(self, id_: str) -> str:
        """Name the key of a challenge."""
        return self._partitions.key_of(id_, SCOPE)

    def schedule(self, id_: str) -> str:
        """Name the key of the schedule that a challenge is in."""
        return self._due.key(id_)

    def idempotency(self, name: str) -> str:
        """Name the key of an idempotency record, in the slot of the challenge that it leads to."""
        return self._partitions.key(self._partitions.home(name), f"i:{name}")

    def every_idempotency(self) -> str:
        """Give the pattern of the keys of all idempotency records."""
        return self._partitions.key("??", "i:*")

    def message(self, name: str) -> str:
        """Name the key that leads from an upstream's name of a message to its challenge."""
        return f"{self._partitions.prefix}:u:{name}"
