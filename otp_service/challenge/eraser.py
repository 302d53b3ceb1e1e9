"""Walks all challenges, and erases challenges with what leads to them.

Knows the keys and the scripts. Must not know whose challenges are erased, or why.
"""

from collections.abc import Container, Iterator

from otp_service.challenge import record
from otp_service.challenge.keys import ChallengeKeys
from otp_service.challenge.model import Challenge
from otp_service.store.partitions import ID_LENGTH, Partitions
from otp_service.store.scripts import Scripts


class ChallengeEraser:
    """Erases challenges. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, partitions: Partitions, keys: ChallengeKeys) -> None:
        self._scripts = scripts
        self._partitions = partitions
        self._keys = keys

    def walk(self) -> Iterator[list[Challenge]]:
        """Give all challenges, in batches."""
        for batch in self._scripts.walk(self._keys.challenge("??*"), "walk"):
            yield [record.read(self._partitions.id_of(key), value) for key, value in batch]

    def erase(self, id_: str) -> bool:
        """Erase a challenge in any state. Return False if it was gone already."""
        return bool(self._scripts.call("erase", self._keys.of(id_), id_))

    def erase_idempotency(self, challenges: Container[str]) -> int:
        """Erase the idempotency records that lead to these challenges. Return how many there were."""
        return self._scripts.delete(self._leading_to(challenges, self._keys.every_idempotency()))

    def erase_messages(self, challenges: Container[str]) -> int:
        """Erase the upstreams' names of the messages of these challenges. Return how many there were."""
        return self._scripts.delete(self._leading_to(challenges, self._keys.message("*")))

    def _leading_to(self, challenges: Container[str], pattern: str) -> Iterator[str]:
        """List the keys of a pattern with a value that begins with the id of one of these challenges."""
        for batch in self._scripts.walk(pattern, "walk"):
            yield from (key for key, value in batch if value[:ID_LENGTH] in challenges)
