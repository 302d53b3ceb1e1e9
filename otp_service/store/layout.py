"""The layout of all records: a number in the store, which a process reads before it reads anything else.

Knows the mark and what this version reads. Must not know records.

Within one layout, versions may add fields and kinds of keys: others keep what they do not know, so versions of one
layout work side by side. A change that an older version would misread needs another layout, in two versions: the first
reads both and writes the old one; the next one sets the mark, waits until all have read it, and writes the new one.
"""

import logging

from otp_service.errors import StoreUnavailable
from otp_service.store.polling import start_polling
from otp_service.store.replication import NOT_REPLICATED
from otp_service.store.scripts import RETRY_AFTER, Scripts
from otp_service.store.sources import Call
from otp_service.telemetry.failures import Failures

LAYOUT = 1
"""The newest layout that this version reads."""
OK, UNREAD = "ok", "unread"


class LayoutMark:
    """What the store said last of its layout. A process may use the store while it knows that layout."""

    def __init__(self, scripts: Scripts, *, prefix: str) -> None:
        self._scripts = scripts
        self._key = f"{prefix}:layout"
        self._alarm = Failures()
        self.state = UNREAD
        """`ok`, `unread`, or which layout the store has that this version cannot read."""

    def states(self) -> dict[str, str]:
        """Return the state as a part of the readiness probe, if the mark was read."""
        return {} if self.state == UNREAD else {"layout": self.state}

    def follow(self) -> None:
        """Start a daemon thread that reads the mark every second."""
        start_polling("layout", self.refresh)

    def refresh(self) -> None:
        """Read the mark, and leave ours in a store without one. Raises StoreUnavailable if the store is away."""
        calls = [Call("mark_layout", [self._key], [LAYOUT])]
        [mark] = self._scripts.tried(
            lambda client: self._scripts.evaluate(client, self._key, calls, NOT_REPLICATED), "mark_layout"
        )
        self._judge(mark)

    def _judge(self, mark: str) -> None:
        known = mark.isdecimal() and int(mark) <= LAYOUT
        self.state = OK if known else f"{mark}, newer than {LAYOUT}"
        if known:
            self._alarm.succeeded("store.layout_known")
        else:
            self._alarm.failed("store.layout_newer", logging.ERROR, kind=mark, layout=mark, reads=LAYOUT)

    def admit(self) -> None:
        """Let this process use the store. Raises StoreUnavailable if its records are newer, or if it is away."""
        if self.state == UNREAD:  # a command's first call: it may be one that must write nothing
            mark = self._scripts.tried(lambda client: client.get(self._key), "read_layout")
            self._judge(str(mark or LAYOUT))
        if self.state != OK:
            raise StoreUnavailable(
                f"The store's records are of a newer version of the service (layout {self.state}). This process has "
                "read and changed none of them: another process may serve the request.",
                retry_after=RETRY_AFTER,
            )
