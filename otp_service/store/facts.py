"""Small facts with a lifetime, what counts only once, and the store's clock.

Knows the keys of facts. Must not know what a fact means.
"""

from otp_service.store.partitions import operation
from otp_service.store.scripts import Scripts


class Facts:
    """Facts by name. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._scripts = scripts
        self._prefix = prefix

    def put(self, name: str, value: str, seconds: int) -> None:
        """Keep a fact for so many seconds."""
        self._scripts.call("put", [self._key(name)], value, seconds * 1000)

    def get(self, *names: str) -> str | None:
        """Read a fact that may be kept under any of these names."""
        return self._scripts.first(map(self._key, names))

    def delete(self, *names: str) -> int:
        """Delete facts; gives how many there were."""
        return self._scripts.delete(map(self._key, names))

    def use_once(self, name: str, seconds: int) -> bool:
        """Use something that counts once within so many seconds; False for all uses but the first."""
        key = f"{self._prefix}:s:{name}"
        return bool(self._scripts.call("use_once", [key], operation(), max(1, seconds) * 1000))

    def time(self) -> int:
        """Give the store's time in milliseconds."""
        now: int = self._scripts.call("read_with_time", [f"{self._prefix}:time"])[0]
        return now

    def ping(self) -> None:
        """Check that the server answers and accepts writes."""
        self.use_once("ping", 1)

    def _key(self, name: str) -> str:
        return f"{self._prefix}:k:{name}"
