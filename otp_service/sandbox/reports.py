"""Delivery reports, pushed as the upstream pushes them (mobtexting.md 4.1).

Knows the flat body, the Bearer secret, which answers count as accepted, and the retries. Must not know HTTP's
other direction, the API.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import requests

from otp_service.sandbox.config import SandboxConfig
from otp_service.sandbox.messages import Mailbox, Message
from otp_service.sandbox.schedule import Schedule
from otp_service.sandbox.times import portal_time

log = logging.getLogger(__name__)
ACCEPTED = (200, 202)
TIMEOUT = 10.0
MOST_WAITING = 100_000
"""A receiver that is away for long must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a report goes."""

    url: str
    secret: str | None = field(repr=False)


class Reports:
    """Settles messages when their time has come and tells whoever asked to be told."""

    def __init__(
        self, config: SandboxConfig, mailbox: Mailbox, targets: Callable[[Message], Iterable[Target]]
    ) -> None:
        self._config = config
        self._mailbox = mailbox
        self._targets = targets
        # Two schedules, so that a slow receiver holds up no message's status.
        self._settling = Schedule("sandbox-settle", threads=1)
        self._pushing = Schedule("sandbox-push", threads=8)
        self._local = threading.local()

    def promise(self, message: Message, status: str, delay: float) -> None:
        """Settle `message` as `status` in `delay` seconds, and report it."""
        self._settling.after(delay, lambda: self._settle(message, status))

    def close(self) -> None:
        """End the threads; reports that are not out are dropped."""
        self._settling.close()
        self._pushing.close()

    def _settle(self, message: Message, status: str) -> None:
        self._mailbox.settle(message, status, self._config.clock())
        body = report_body(message)
        for target in self._targets(message):
            self._try_later(target, body, delay=0, retries=self._config.report_retries)

    def _try_later(self, target: Target, body: dict[str, object], *, delay: float, retries: int) -> None:
        if len(self._pushing) >= MOST_WAITING:
            log.warning("a delivery report was dropped: too many are waiting")
            return
        self._pushing.after(delay, lambda: self._push(target, body, retries))

    def _push(self, target: Target, body: dict[str, object], retries: int) -> None:
        if self._accepted(target, body):
            return
        if retries:
            self._try_later(target, body, delay=self._config.report_retry_interval, retries=retries - 1)
        else:
            log.warning("a delivery report was dropped: no try was accepted")

    def _accepted(self, target: Target, body: dict[str, object]) -> bool:
        headers = {"Authorization": f"Bearer {target.secret}"} if target.secret else {}
        try:
            answer = self._session().post(
                target.url, json=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
        except requests.RequestException:
            return False
        return answer.status_code in ACCEPTED

    def _session(self) -> requests.Session:
        # One per thread: a session is not made for sharing.
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            # No proxy or .netrc of this machine may see or alter a report.
            self._local.session.trust_env = False
        session: requests.Session = self._local.session
        return session


def report_body(message: Message) -> dict[str, object]:
    """Return the report of a settled message, field by field."""
    times = {"deliv": message.delivered_at, "sent": message.submitted_at, "submit": message.submitted_at}
    return {
        "id": message.id,
        "mobile": message.to,
        "status": message.status,
        "credits": f"{message.charges:.4f}",
        "units": message.units,
        **{f"{name}_time": portal_time(at) for name, at in times.items()},
        **{f"{name}_at": "" if at is None else str(int(at)) for name, at in times.items()},
        "cid": message.custom,
        "custom": message.custom,
    }
