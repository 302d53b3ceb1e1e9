"""What happens to a message after it was accepted, step by step, and who learns of it.

Knows when a message takes its next status. Must not know words, bodies or HTTP.
"""

from collections.abc import Callable
from functools import partial

from otp_service.sandbox.mailbox import Mailbox, Message
from otp_service.sandbox.reports.bodies import event_of
from otp_service.sandbox.reports.courses import Course
from otp_service.sandbox.reports.pushes import Pushes
from otp_service.sandbox.reports.schedule import Schedule


class Reports:
    """Settles messages when their time has come, and has it reported."""

    def __init__(self, mailbox: Mailbox, pushes: Pushes, clock: Callable[[], float]) -> None:
        self._mailbox = mailbox
        self._pushes = pushes
        self._clock = clock
        # A schedule of its own, so that a slow receiver holds up no message's status.
        self._schedule = Schedule("sandbox-settle", threads=1)

    def promise(self, message: Message, course: Course) -> None:
        """Take `message` through `course`, reporting each status."""
        for delay, status in course:
            self._schedule.after(delay, partial(self._settle, message, status))

    def close(self) -> None:
        """End the thread; what has not happened yet never will."""
        self._schedule.close()

    def _settle(self, message: Message, status: str) -> None:
        self._mailbox.settle(message, status, self._clock())
        self._pushes.tell(event_of(message))
