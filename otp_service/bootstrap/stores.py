"""Everything that the product keeps in Redis, except the policy, the API keys and the guard's counters.

Knows which part keeps what. Must not know what the parts are used for.
"""

from otp_service.challenge.eraser import ChallengeEraser
from otp_service.challenge.keys import ChallengeKeys
from otp_service.challenge.store import USUAL_RETENTION, ChallengeStore, Retention
from otp_service.delivery.membership import Membership
from otp_service.delivery.pace_board import PaceBoard
from otp_service.events.queue import EventQueue
from otp_service.guard.pins import PinStore
from otp_service.guard.suppressions import Suppressions
from otp_service.history.store import StoryStore
from otp_service.store.due import DueQueue
from otp_service.store.facts import Facts
from otp_service.store.partitions import Partitions
from otp_service.store.scripts import Scripts
from otp_service.upstream.get_budget import GetBudget


class Stores:
    """The stores, by part. A test moves their time by `scripts.offset`."""

    def __init__(
        self,
        scripts: Scripts,
        *,
        prefix: str,
        partitions: int,
        retention: Retention = USUAL_RETENTION,
        keep_events: int = 4 * 24 * 3_600_000,
        keep_history: int = 7 * 24 * 3_600_000,
    ) -> None:
        """`keep_events` is how long an event that its app does not accept is kept (ms), `keep_history` a story."""
        self.scripts = scripts
        self.prefix = prefix
        self.partitions = Partitions(prefix, partitions)
        self.due = DueQueue(scripts, self.partitions, "due")
        self.events_due = DueQueue(scripts, self.partitions, "evt")
        self.challenges = ChallengeStore(scripts, self.partitions, due=self.due, retention=retention)
        keys = ChallengeKeys(self.partitions, self.due)
        self.challenge_eraser = ChallengeEraser(scripts, self.partitions, keys)
        self.events = EventQueue(
            scripts, self.partitions, due=self.events_due, challenges=keys, ttl=keep_events
        )
        self.stories = StoryStore(scripts, self.partitions, keep=keep_history)
        self.pace_board = PaceBoard(scripts, prefix=prefix)
        self.facts = Facts(scripts, prefix=prefix)
        self.suppressions = Suppressions(scripts, prefix=prefix)
        self.pins = PinStore(scripts, prefix=prefix)
        self.get_budget = GetBudget(scripts, prefix=prefix)

    def membership(self, queue: DueQueue) -> Membership:
        """Return the list of workers that share a queue."""
        return Membership(self.scripts, prefix=self.prefix, queue=queue.name)
