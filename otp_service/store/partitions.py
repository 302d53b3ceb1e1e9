"""How challenges are spread over slots of the store, and the ids that name their partition.

Knows hash tags of Redis Cluster: all keys of one partition share a slot. Must not know what is stored under a key.
"""

import secrets
import zlib

ID_BYTES = 16
ID_LENGTH = 24


class Partitions:
    """The partitions of one deployment. An id starts with two hexadecimal digits that name its partition."""

    def __init__(self, prefix: str, count: int) -> None:
        """`prefix` starts every key; `count` is the number of partitions, 1 to 256, the same in every process."""
        self.prefix = prefix
        self._count = count

    def names(self) -> list[str]:
        """List all partitions."""
        return [f"{place:02x}" for place in range(self._count)]

    def new_id(self, home: str = "") -> str:
        """Draw an id: its partition, which is that of `home` if one is given, then 128 random bits."""
        partition = self.home(home) if home else f"{secrets.randbelow(self._count):02x}"
        return self.new_id_in(partition)

    def new_id_in(self, partition: str) -> str:
        """Draw an id of a partition."""
        return f"{partition}{secrets.token_urlsafe(ID_BYTES)}"

    def home(self, name: str) -> str:
        """Return the partition of a name. Ids that are drawn for the name get the same one."""
        return f"{zlib.crc32(name.encode()) % self._count:02x}"

    def key(self, partition: str, rest: str) -> str:
        """Return a key in the slot of a partition."""
        return f"{{{self.prefix}:{partition}}}:{rest}"

    def key_of(self, id_: str, scope: str) -> str:
        """Return the key of an id."""
        return self.key(id_[:2], f"{scope}:{id_[2:]}")

    def id_of(self, key: str) -> str:
        """Return the id that a key belongs to."""
        slot, _, rest = key.partition("}")
        return slot[-2:] + rest.rpartition(":")[2]


def operation() -> str:
    """Draw the id of one act, by which a script recognises a repeated call."""
    return secrets.token_urlsafe(6)
