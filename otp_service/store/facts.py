"""Small facts with a lifetime, things that count only once, and the store's clock.

Knows the keys of facts. Must not know what a fact means.
"""

from otp_service.store.partitions import operation
from otp_service.store.scripts import Scripts
from otp_service.store.sources import Call


class Facts:
    """Facts by name. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._scripts = scripts
        self._prefix = prefix

    def put(self, name: str, value: str, seconds: int) -> None:
        """Store a fact for this many seconds."""
        self._scripts.call("put", [self._key(name)], value, seconds * 1000)

    def get(self, *names: str) -> str | None:
        """Return the first fact that exists under one of these names."""
        return self._scripts.first(map(self._key, names))

    def reading(self, *names: str) -> list[Call]:
        """Return the calls that read facts, each of which answers nothing if there is none."""
        return [Call("read_first", [self._key(name)]) for name in names]

    def delete(self, *names: str) -> int:
        """Delete facts; return how many existed."""
        return self._scripts.delete(map(self._key, names))

    def use_once(self, name: str, seconds: int) -> bool:
        """Use something that counts once within this many seconds; return False for every use but the first."""
        ttl = max(1, seconds) * 1000
        return bool(self._scripts.call("use_once", [self._used(name)], ttl, "", operation()))

    def use_before(self, name: str, end: int, *operations: str) -> bool | None:
        """Use something that counts once before `end` (seconds since 1970); return None if it is too late.

        Whoever names the first user's operation may repeat its use. Of several operations the first is remembered.
        Raises StoreUnavailable also if a promotion may forget the use.
        """
        used = self._scripts.call_durably("use_once", [self._used(name)], "", end * 1000, *operations)
        return None if used < 0 else bool(used)

    def time(self) -> int:
        """Return the store's time in milliseconds."""
        now: int = self._scripts.call("read_with_time", [f"{self._prefix}:time"])[0]
        return now

    def ping(self) -> None:
        """Check that the server answers and accepts writes."""
        self.use_once("ping", 1)

    def _used(self, name: str) -> str:
        return f"{self._prefix}:s:{name}"

    def _key(self, name: str) -> str:
        return f"{self._prefix}:k:{name}"
