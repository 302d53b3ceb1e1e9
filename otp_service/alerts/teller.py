"""Tells the operators' own endpoint what needs a person, as signed events (Standard Webhooks 1.0.0).

Runs in the processes of the API, which take turns: workers are among what may be gone. Knows when to look. Must not
know what is looked for.
"""

from collections.abc import Callable

from otp_service.alerts import bulletin
from otp_service.alerts.lookout import Lookout
from otp_service.events.queue import EventQueue
from otp_service.events.sender import OPERATORS, WebhookSender
from otp_service.policy.active import ActivePolicy
from otp_service.store.facts import Facts
from otp_service.store.polling import start_polling

EVERY = 5
"""Seconds between two looks."""
POLL = 1.0
"""Seconds between two tries of a process to take its turn."""
KEEP = 7 * 24 * 3600
"""Seconds for which what was told is remembered if no process looks."""
AT_ONCE = 8
"""Events that one look sends."""
OWNER = "alerts"
"""Names what is remembered, and the partition of the events."""


class Teller:
    """Looks again and again, and queues what is news."""

    def __init__(
        self,
        *,
        active: Callable[[], ActivePolicy],
        lookout: Lookout,
        facts: Facts,
        queue: EventQueue,
        sender: WebhookSender,
    ) -> None:
        """`sender` posts what is in the queue."""
        self._active = active
        self._lookout = lookout
        self._facts = facts
        self._queue = queue
        self._sender = sender

    def follow(self) -> None:
        """Look again and again in a daemon thread."""
        start_polling("alerts", self.take_turn, every=POLL)

    def take_turn(self) -> None:
        """Look, if the policy names an endpoint and no process has just looked. Raises StoreUnavailable."""
        if self._active().policy.alerts is not None and self._facts.use_once(f"{OWNER}:look", EVERY):
            self.queue_news()

    def queue_news(self) -> None:
        """Look, queue what is news, and send what is due. Raises StoreUnavailable.

        A process that dies between the two writes tells the same news again: receivers may get it twice.
        """
        now = self._facts.time()
        before = bulletin.read(self._facts.get(OWNER))
        after, news = bulletin.follow(before, self._lookout.list_alerts(self._active()), now)
        if news:
            events = [{"app": OPERATORS, "type": one.type, "at": now, "data": one.data} for one in news]
            self._queue.put_for(OWNER, events)
        self._facts.put(OWNER, bulletin.write(after), KEEP)
        for id_ in self._queue.due_for(OWNER, AT_ONCE):  # usually workers were faster, and nothing is left
            self._sender.send(id_, lambda: False)
