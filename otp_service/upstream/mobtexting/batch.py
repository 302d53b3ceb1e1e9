"""Combines many SMS into few calls: under load, messages wait for a moment and leave together.

Knows which caller waits for which. Must not know what a request looks like. It has no thread of its own: the first
caller of a batch leads it, and the others wait for the result.
"""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from otp_service.upstream.channels import SmsSettings
from otp_service.upstream.mobtexting.client import MobtextingClient
from otp_service.upstream.mobtexting.outcomes import ABANDONED, VERDICTS
from otp_service.upstream.mobtexting.sms import group
from otp_service.upstream.mobtexting.values import digits
from otp_service.upstream.port import Message, Outcome

LINGER: Final = 0.05
"""Maximum seconds that a message waits for others."""


class Batcher:
    """Sends SMS with one set of settings; a `ChannelSender` that is safe to use from many threads.

    While fewer than `parallel` calls are running, each message leaves at once. Otherwise messages with the same
    alphabet, the same registered template and different numbers wait until there are `size` of them, a call ends, or
    `linger` seconds are over. So a slow upstream has many batches on their way, and its time costs no throughput.
    """

    def __init__(
        self,
        client: MobtextingClient,
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
        self._running = 0
        self._waiting: deque[_Batch] = deque()

    def __call__(self, message: Message) -> Outcome:
        """Send one message, once, and return the outcome. Raises ValueError if `to` is not a number."""
        digits(message.to)  # before it joins a batch, so that the error reaches only its own caller
        with self._lock:
            alone = self._running < self._parallel
            batch = _Batch(self._settings) if alone else self._batch_for(message)
            self._running += alone
            place = batch.add(message)
            if alone or len(batch.messages) == self._size:
                self._let_go(batch)
        if place:
            batch.done.wait()
        else:
            self._lead(batch)
        return batch.outcomes[place]

    @property
    def waiting(self) -> int:
        """The number of messages that wait in batches."""
        with self._lock:
            return sum(len(batch.messages) for batch in self._waiting)

    def _batch_for(self, message: Message) -> "_Batch":
        for batch in self._waiting:
            if batch.suits(message):
                return batch
        self._waiting.append(_Batch(self._settings))
        return self._waiting[-1]

    def _lead(self, batch: "_Batch") -> None:
        """Wait for a place, send, and release all other callers whatever happens."""
        try:
            batch.go.wait(self._linger)
            self._close(batch)
            batch.outcomes = self._send(batch.messages)
        finally:
            self._close(batch)
            self._pass_place_on()
            batch.done.set()

    def _send(self, messages: Sequence[Message]) -> list[Outcome]:
        if len(messages) == 1:
            return [self._client.send_sms(messages[0], self._settings)]
        return self._client.send_sms_batch(messages, self._settings)

    def _close(self, batch: "_Batch") -> None:
        """Stop taking messages. A batch that was given no place takes an extra one."""
        with self._lock:
            self._let_go(batch)

    def _let_go(self, batch: "_Batch") -> None:
        if batch in self._waiting:
            self._waiting.remove(batch)
            self._running += 1
        batch.go.set()

    def _pass_place_on(self) -> None:
        """Give the place to the batch that has waited longest, or give it back."""
        with self._lock:
            if self._waiting and self._running <= self._parallel:
                self._waiting.popleft().go.set()
            else:
                self._running -= 1


class _Batch:
    """Messages that leave together. The caller of the first one leads. Outcomes are unknown until the call ends."""

    def __init__(self, settings: SmsSettings) -> None:
        self._settings = settings
        self.messages: list[Message] = []
        self.outcomes: list[Outcome] = []
        self.go = threading.Event()
        self.done = threading.Event()

    def suits(self, message: Message) -> bool:
        """Return whether a message may join: the same alphabet and registered template, and a different number."""
        same = group(message, self._settings) == group(self.messages[0], self._settings)
        return same and all(m.to != message.to for m in self.messages)

    def add(self, message: Message) -> int:
        """Add a message and return its place."""
        self.messages.append(message)
        self.outcomes.append(Outcome(VERDICTS[ABANDONED], ABANDONED))
        return len(self.messages) - 1
