"""How long a new send would wait, as each process of the API estimates it: what would wait too long is refused at once.

Knows what waits and how fast it leaves, which it reads in a thread of its own: a send asks the memory of its process,
not the store. Must not know how workers measure.

An accepted send costs its caller's allowance and a person's patience. So it is better to refuse than to accept what
would come late. The estimate is cautious: what this process has accepted since the workers counted is added, and what
has left since is not taken away.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from otp_service.delivery.pace_board import PaceBoard
from otp_service.errors import Busy
from otp_service.store.polling import start_polling
from otp_service.telemetry.metrics import Metrics

EVERY = 0.25
"""Seconds between two reads while messages are requested."""
IDLE_EVERY = 1.0
"""Seconds between two reads while none are."""
STALE = 10.0
"""Seconds after which what was read says nothing any more."""
CAUTION = 2.0
"""By how much an estimate is lengthened, so that nearly all that is accepted is in time."""
LONGEST = 30
"""The longest time after which a caller is asked to come back (seconds)."""
MOST = 100_000
"""Accepted sends that a process counts between two reads."""
DETAIL = (
    "More messages are requested than can be sent in time. Nothing was counted. "
    "Try again after retry_after seconds."
)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What waited at a time (seconds of this process's clock), and how many leave in a second."""

    at: float
    open: int
    new: int
    rate: float


class SendWait:
    """Refuses sends that would wait for longer than `limit` seconds."""

    def __init__(
        self,
        board: PaceBoard,
        metrics: Metrics,
        *,
        limit: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` uses seconds."""
        self._board = board
        self._metrics = metrics
        self._limit = limit
        self._clock = clock
        self._seen: _Seen | None = None
        self._accepted: deque[float] = deque(maxlen=MOST)
        self._asked = False
        self._read_at = -math.inf

    def follow(self) -> None:
        """Read again and again in a daemon thread."""
        start_polling("send_wait", self._follow, every=EVERY)

    def refresh(self) -> None:
        """Read what waits and how fast it leaves. Raises StoreUnavailable."""
        shares = self._board.read()
        self._read_at = self._clock()
        rates = [one.rate for one in shares if one.rate is not None]
        if shares:  # workers that are silent leave what was known
            at = self._read_at - max(one.age for one in shares)
            waiting = sum(one.open for one in shares), sum(one.new for one in shares)
            self._seen = _Seen(at, *waiting, sum(rates)) if rates else None
            while self._accepted and self._accepted[0] < at:
                self._accepted.popleft()
        self._metrics.send_wait.set(min(self.estimate("send"), STALE * LONGEST))

    def estimate(self, act: str) -> float:
        """Estimate how long a "send" or a "resend" would wait (seconds); 0 if nothing is known."""
        seen = self._seen
        if seen is None or self._clock() - seen.at > STALE:
            return 0.0
        waiting = seen.open + (seen.new + len(self._accepted) if act == "send" else 0)
        if not waiting:
            return 0.0
        return CAUTION * waiting / seen.rate if seen.rate else math.inf

    def require(self, act: str) -> None:
        """Raise Busy if a "send" or a "resend" would wait for too long. A resend goes before all new sends."""
        self._asked = True
        wait = self.estimate(act)
        if wait > self._limit:
            self._metrics.shed.labels(act).inc()
            raise Busy(DETAIL, retry_after=max(1, math.ceil(min(wait - self._limit, LONGEST))))

    def accept(self) -> None:
        """Count a send that was accepted."""
        self._accepted.append(self._clock())

    def _follow(self) -> None:
        asked, self._asked = self._asked, False
        if asked or self._clock() - self._read_at >= IDLE_EVERY:
            self.refresh()
