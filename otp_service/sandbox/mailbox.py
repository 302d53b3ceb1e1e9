"""The messages that the sandbox accepted, newest last, in memory and bounded.

Knows messages, their indexes and the threads that wait for changes. Must not know HTTP, or how a message came here,
so that every channel can add its messages.
"""

import threading
from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Message:
    """One accepted message or call to one recipient. Only its status and times change, and only in this module."""

    id: str
    account: str
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
    ttl: int | None = None
    """Time to live in seconds, as its sender set it."""
    flow_id: str | None = None
    duration: int = 0
    """Seconds of talk, for a call that is answered."""
    settled_at: float | None = None
    """When it got its present status."""
    times: dict[str, float] = field(default_factory=dict)
    """When it got each status since it was accepted."""


class Mailbox:
    """Keeps the newest `size` messages; many threads may use it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._changed = threading.Condition()
        self._version = 0
        self._messages: deque[Message] = deque()
        self._by_id: dict[str, Message] = {}
        self._by_number: dict[str, deque[Message]] = {}

    def add(self, message: Message) -> None:
        """Add `message`, and drop the oldest if there are too many."""
        with self._changed:
            self._messages.append(message)
            self._by_id[message.id] = message
            self._by_number.setdefault(message.to, deque()).append(message)
            if len(self._messages) > self._size:
                self._drop_oldest()
            self._notify()

    def set_status(self, message: Message, status: str, at: float) -> None:
        """Give `message` its next status."""
        with self._changed:
            message.settled_at = message.times[status] = at
            message.status = status
            self._notify()

    def clear(self) -> None:
        """Drop all messages."""
        with self._changed:
            self._messages.clear()
            self._by_id.clear()
            self._by_number.clear()
            self._notify()

    def message(self, message_id: str) -> Message | None:
        """Return the message with this id, if it is still kept."""
        with self._changed:
            return self._by_id.get(message_id)

    def of_account(
        self, account: str, channel: str, message_id: str | None, number: str | None
    ) -> list[Message]:
        """Return an account's messages of a channel, filtered by id or number if one is given, newest first."""
        if message_id is None:
            candidates = self.newest(self._size, number)
        else:
            found = self.message(message_id)
            candidates = [found] if found else []
        return [row for row in candidates if (row.account, row.channel) == (account, channel)]

    def newest(self, limit: int, number: str | None = None) -> list[Message]:
        """Return at most `limit` messages, to `number` (digits) if one is given, newest first."""
        with self._changed:
            kept = self._messages if number is None else self._by_number.get(number, ())
            return [message for message, _ in zip(reversed(kept), range(limit), strict=False)]

    def wait(self, seen: int, timeout: float) -> int:
        """Return the mailbox's version as soon as it differs from `seen`, or after `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != seen, timeout)
            return self._version

    def wake(self) -> None:
        """Release all waiting threads, as at the end of the process."""
        with self._changed:
            self._notify()

    def _notify(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def _drop_oldest(self) -> None:
        oldest = self._messages.popleft()
        del self._by_id[oldest.id]
        # The oldest message of all is also the oldest of its number.
        same_number = self._by_number[oldest.to]
        same_number.popleft()
        if not same_number:
            del self._by_number[oldest.to]
