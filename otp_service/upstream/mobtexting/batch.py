"""Many SMS at once in few calls: what cannot leave at once gathers for a moment and leaves together.

Knows who waits for whom. Must not know what a request looks like. There is no thread of its own: the first
caller of a batch leads it, the others wait for what it brings back.
"""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from otp_service.upstream.channels import SmsSettings
from otp_service.upstream.mobtexting.client import Client
from otp_service.upstream.mobtexting.outcomes import ABANDONED, VERDICTS
from otp_service.upstream.mobtexting.sms import kind
from otp_service.upstream.mobtexting.values import digits
from otp_service.upstream.port import Message, Outcome

LINGER: Final = 0.2
"""Seconds that a message waits at most for others."""


class Batcher:
    """Sends SMS of one sender; a `ChannelSender` that is safe to use from many threads.

    While fewer than `parallel` calls are under way, each message leaves at once. Beyond that, up to `size`
    messages of one alphabet, to numbers that all differ, gather until a call ends, or for `linger` seconds.
    """

    def __init__(
        self,
        client: Client,
        settings: SmsSettings,
        *,
        parallel: int = 32,
        size: int = 20,
        linger: float = LINGER,
    ) -> None:
        if parallel < 1 or size < 1 or linger < 0:
            raise ValueError("parallel and size must be at least 1, linger must not be negative")
        self._client = client
        self._settings = settings
        self._parallel = parallel
        self._size = size
        self._linger = linger
        self._lock = threading.Lock()
        self._under_way = 0
        self._gathering: deque[_Batch] = deque()

    def __call__(self, message: Message) -> Outcome:
        """Send one message, once, and say how that ended. ValueError if `to` is no number."""
        digits(message.to)  # here, where only its own sender is told
        with self._lock:
            alone = self._under_way < self._parallel
            batch = _Batch() if alone else self._batch_for(message)
            self._under_way += alone
            place = batch.add(message)
        if alone:
            batch.go.set()
        if place:
            batch.done.wait()
        else:
            self._lead(batch)
        return batch.outcomes[place]

    @property
    def waiting(self) -> int:
        """How many messages gather at the moment."""
        with self._lock:
            return sum(len(batch.messages) for batch in self._gathering)

    def _batch_for(self, message: Message) -> "_Batch":
        for batch in self._gathering:
            if len(batch.messages) < self._size and batch.suits(message):
                return batch
        self._gathering.append(_Batch())
        return self._gathering[-1]

    def _lead(self, batch: "_Batch") -> None:
        """Wait for a place, send, and let all others go whatever happens."""
        try:
            batch.go.wait(self._linger)
            self._close(batch)
            batch.outcomes = self._send(batch.messages)
        finally:
            self._close(batch)
            self._hand_on()
            batch.done.set()

    def _send(self, messages: Sequence[Message]) -> list[Outcome]:
        if len(messages) == 1:
            return [self._client.send_sms(messages[0], self._settings)]
        return self._client.send_sms_batch(messages, self._settings)

    def _close(self, batch: "_Batch") -> None:
        """Let nobody join any more; a batch that nobody handed a place to takes one that is not there."""
        with self._lock:
            if batch in self._gathering:
                self._gathering.remove(batch)
                self._under_way += 1

    def _hand_on(self) -> None:
        """Give a place to the batch that waits longest, or back."""
        with self._lock:
            if self._gathering and self._under_way <= self._parallel:
                self._gathering.popleft().go.set()
            else:
                self._under_way -= 1


class _Batch:
    """Messages that leave together; whoever added the first leads. Its outcomes are unknown until they came."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.outcomes: list[Outcome] = []
        self.go = threading.Event()
        self.done = threading.Event()

    def suits(self, message: Message) -> bool:
        """Say whether a message may travel along: the same alphabet, another number."""
        return kind(message) == kind(self.messages[0]) and all(m.to != message.to for m in self.messages)

    def add(self, message: Message) -> int:
        """Take a message in and say at which place."""
        self.messages.append(message)
        self.outcomes.append(Outcome(VERDICTS[ABANDONED], ABANDONED))
        return len(self.messages) - 1
