"""The messages that the sandbox accepted, newest last, in memory and bounded.

Knows messages, their indexes and who waits for news of them. Must not know HTTP or what brought a message
here, so that every channel can put its messages in.
"""

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class Message:
    """One accepted message to one recipient. Only `status` and `delivered_at` change, and only here."""

    id: str
    group_id: str
    channel: str
    to: str
    sender: str
    text: str
    code: str | None
    service: str
    units: int
    length: int
    charges: float
    custom: str
    webhook_id: str | None
    submitted_at: float
    status: str
    delivered_at: float | None = None


class Mailbox:
    """Keeps the newest `size` messages; safe for many threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._changed = threading.Condition()
        self._version = 0
        self._messages: deque[Message] = deque()
        self._by_id: dict[str, Message] = {}
        self._by_number: dict[str, deque[Message]] = {}

    def add(self, message: Message) -> None:
        """Take `message` in, and forget the oldest where it would be one too many."""
        with self._changed:
            self._messages.append(message)
            self._by_id[message.id] = message
            self._by_number.setdefault(message.to, deque()).append(message)
            if len(self._messages) > self._size:
                self._forget_oldest()
            self._tell()

    def settle(self, message: Message, status: str, at: float) -> None:
        """Give `message` its final status."""
        with self._changed:
            message.delivered_at = at
            message.status = status
            self._tell()

    def clear(self) -> None:
        """Forget all messages."""
        with self._changed:
            self._messages.clear()
            self._by_id.clear()
            self._by_number.clear()
            self._tell()

    def find(self, message_id: str) -> Message | None:
        """Return the message with this id, if it is still kept."""
        with self._changed:
            return self._by_id.get(message_id)

    def newest(self, limit: int, number: str | None = None) -> list[Message]:
        """Return at most `limit` messages, to `number` (digits) if one is given, newest first."""
        with self._changed:
            kept = self._messages if number is None else self._by_number.get(number, ())
            return [message for message, _ in zip(reversed(kept), range(limit), strict=False)]

    def wait(self, seen: int, timeout: float) -> int:
        """Return the store's version as soon as it is not `seen`, or after `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != seen, timeout)
            return self._version

    def wake(self) -> None:
        """Let all who wait go on, as at the end of the process."""
        with self._changed:
            self._tell()

    def _tell(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def _forget_oldest(self) -> None:
        oldest = self._messages.popleft()
        del self._by_id[oldest.id]
        # What is oldest of all is also the oldest of its number.
        same_number = self._by_number[oldest.to]
        same_number.popleft()
        if not same_number:
            del self._by_number[oldest.to]
