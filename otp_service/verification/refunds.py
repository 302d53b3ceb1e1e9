"""Gives charges back when the store failed before the message that they were for was stored.

Knows that a call without an answer may have been done, or may still be done a moment later. Must not know what is
charged or stored.

A call whose fate is unknown is looked at twice, a poll apart: a store that answers again works off what it received
before. The charge of a request with an Idempotency-Key stays for its repetition, which then owns it. It is given back
when no repetition came for a while.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from otp_service.errors import StoreUnavailable
from otp_service.store.polling import start_polling

REPEATED_WITHIN = 30.0
"""Seconds for which a charge stays for the repetition of its request: several times what a client is told to wait."""
PATIENCE = 50.0
"""Seconds for which a refund is tried: less than the guard remembers a charge."""
MOST = 10_000
"""Refunds that a process remembers; of more, the oldest are not given back."""
DETAIL = (
    "The store failed while the message was being accepted. Try again after retry_after seconds, with the same "
    "Idempotency-Key: then it is charged and sent once."
)


@dataclass(slots=True)
class _Refund:
    """A charge to give back, unless what it was for turns out to be done."""

    is_done: Callable[[], bool]
    give_back: Callable[[], None]
    since: float
    due: float
    was_absent: bool = False


class Refunds:
    """The refunds of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` uses seconds."""
        self._clock = clock
        self._pending: deque[_Refund] = deque(maxlen=MOST)
        self._working = threading.Lock()

    @contextmanager
    def after_failure(
        self, *, is_done: Callable[[], bool], give_back: Callable[[], None], keyed: bool
    ) -> Iterator[None]:
        """Name the Idempotency-Key if the store fails in this block, and give the charge back if nothing was done.

        `is_done` reads from the store whether the block was done after all; it raises StoreUnavailable. `keyed`: the
        request has an Idempotency-Key, so that its charge stays for its repetition for a while.
        """
        try:
            yield
        except StoreUnavailable as error:
            now = self._clock()
            self._pending.append(_Refund(is_done, give_back, now, now + REPEATED_WITHIN * keyed))
            raise StoreUnavailable(DETAIL, retry_after=error.retry_after) from error

    def follow(self) -> None:
        """Give back again and again in a daemon thread."""
        start_polling("refunds", self.work)

    def work(self) -> None:
        """Look once at each charge. Raises StoreUnavailable; what is left is tried again."""
        with self._working:
            for _ in range(len(self._pending)):
                refund = self._pending.popleft()
                try:
                    is_left = self._is_left(refund)
                except StoreUnavailable:
                    self._pending.appendleft(refund)
                    raise
                if is_left:
                    self._pending.append(refund)

    def _is_left(self, refund: _Refund) -> bool:
        """Decide about one charge; return whether to look at it again."""
        now = self._clock()
        if now < refund.due:
            return True
        if now - refund.since > PATIENCE or refund.is_done():
            return False
        if refund.was_absent:
            refund.give_back()
            return False
        refund.was_absent = True
        return True
