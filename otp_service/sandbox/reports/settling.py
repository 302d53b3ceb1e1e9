"""Takes messages through their course, and has each status reported.

Knows when a message gets its next status. Must not know words, bodies or HTTP.
"""

from collections.abc import Callable
from functools import partial

from otp_service.sandbox.mailbox import Mailbox, Message
from otp_service.sandbox.reports.bodies import event_of
from otp_service.sandbox.reports.courses import Course
from otp_service.sandbox.reports.pushes import Pushes
from otp_service.sandbox.reports.schedule import Schedule


class Reports:
    """Changes the status of messages at the right time, and reports it."""

    def __init__(self, mailbox: Mailbox, pushes: Pushes, clock: Callable[[], float]) -> None:
        self._mailbox = mailbox
        self._pushes = pushes
        self._clock = clock
        # Its own schedule, so that a slow receiver does not delay the status of messages.
        self._schedule = Schedule("sandbox-settle", threads=1)

    def schedule(self, message: Message, course: Course) -> None:
        """Take `message` through `course` and report each status."""
        for delay, status in course:
            self._schedule.after(delay, partial(self._set_status, message, status))

    def close(self) -> None:
        """End the thread; later statuses are dropped."""
        self._schedule.close()

    def _set_status(self, message: Message, status: str) -> None:
        self._mailbox.set_status(message, status, self._clock())
        self._pushes.push(event_of(message))
