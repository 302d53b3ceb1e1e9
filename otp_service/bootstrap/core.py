"""The running core: all parts of the product, with those that deliver codes and events.

Knows every class and what it needs. Must not know HTTP or a terminal.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property

from otp_service.bootstrap.configuration import Configuration
from otp_service.bootstrap.watching import Watching
from otp_service.delivery.account_health import AccountHealth
from otp_service.delivery.charges import Charges
from otp_service.delivery.choice import Choice
from otp_service.delivery.dispatcher import Dispatcher
from otp_service.delivery.expiry import Expiry
from otp_service.delivery.pace import Pace
from otp_service.delivery.preparation import Preparation
from otp_service.delivery.presumption import Presumption
from otp_service.delivery.receipt_pull import ReceiptPull
from otp_service.delivery.receipts import Receipts
from otp_service.delivery.replies import Replies
from otp_service.delivery.send_recorder import SendRecorder
from otp_service.delivery.settlement import Settlement
from otp_service.delivery.step_chooser import StepChooser
from otp_service.delivery.turns import Turns
from otp_service.errors import StoreUnavailable
from otp_service.store.connection import USUAL_LIMITS, Limits

SPARE_TURNS = 4
"""Sends beside those that hash, or wait for an upstream: some are being claimed, others written down."""


class Core(Watching):
    """All parts: the use cases of apps and operators, and what workers do."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        threads: int,
        hash_slots: int,
        role: str,
        limits: Limits = USUAL_LIMITS,
        offset: int = 0,
        reach: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Make all parts at once, as `Watching`; tests are told by `reach` where a process may die."""
        super().__init__(
            configuration, threads=threads, hash_slots=hash_slots, role=role, limits=limits, offset=offset
        )
        self._reach = reach
        for name in _parts(Core):
            getattr(self, name)  # made now: two threads could each make one later

    def follow(self) -> None:
        """Read the store's layout, the policy in force, and whether keys are evicted; then follow all in threads."""
        with suppress(StoreUnavailable):
            self.layout.refresh()
        self.layout.follow()
        with suppress(StoreUnavailable):  # nothing works without the store, and following goes on
            self.active.refresh()
        self.active.follow()
        self.followers.follow(self.name, self.report)
        with suppress(StoreUnavailable):
            self.eviction.refresh()
        self.eviction.follow()

    def follow_keys(self) -> None:
        """Read which API keys are valid, then follow them in a thread."""
        with suppress(StoreUnavailable):  # callers with an issued key are told to retry until it is read
            self.live_keys.refresh()
        self.live_keys.follow()

    @cached_property
    def account_health(self) -> AccountHealth:
        """Tells breakers how messages ended."""
        return AccountHealth(self.breakers, self.metrics, self.active)

    @cached_property
    def receipts(self) -> Receipts:
        """Records delivery reports."""
        return Receipts(
            active=self.active,
            challenges=self.store.challenges,
            facts=self.store.facts,
            account_health=self.account_health,
            seal=self.seal,
            journal=self.journal,
            metrics=self.metrics,
        )

    @cached_property
    def replies(self) -> Replies:
        """Records what people write back."""
        return Replies(
            facts=self.store.facts,
            suppressions=self.store.suppressions,
            seal=self.seal,
            metrics=self.metrics,
            record=self.audit_trail.record,
        )

    @cached_property
    def presumption(self) -> Presumption:
        """Arms deliveries for their usual accounts."""
        return Presumption(
            challenges=self.store.challenges,
            suppressions=self.store.suppressions,
            breakers=self.breakers,
            seal=self.seal,
        )

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """Sends codes."""
        charges = Charges(self.admission)
        return Dispatcher(
            active=self.active,
            challenges=self.store.challenges,
            choice=self._choice(charges),
            charges=charges,
            recorder=SendRecorder(
                account_health=self.account_health,
                charges=charges,
                journal=self.journal,
                metrics=self.metrics,
            ),
            presumption=self.presumption,
            settlement=Settlement(
                challenges=self.store.challenges,
                receipts=self.receipts,
                seal=self.seal,
                journal=self.journal,
                metrics=self.metrics,
            ),
            receipt_pull=ReceiptPull(
                challenges=self.store.challenges, budget=self.store.get_budget, receipts=self.receipts
            ),
            preparation=Preparation(hasher=self.hasher, seal=self.seal),
            seal=self.seal,
            outbox=self.outbox,
            pace=self.pace,
            journal=self.journal,
            metrics=self.metrics,
            turns=self.turns,
            reach=self._reach,
        )

    def _choice(self, charges: Charges) -> Choice:
        steps = StepChooser(
            facts=self.store.facts,
            breakers=self.breakers,
            seal=self.seal,
            journal=self.journal,
            metrics=self.metrics,
            turns=self.turns,
        )
        suppressions = self.store.suppressions
        return Choice(
            suppressions=suppressions, steps=steps, charges=charges, seal=self.seal, journal=self.journal
        )

    @cached_property
    def turns(self) -> Turns:
        """How many sends use the processor at once."""
        return Turns(self._hash_slots + SPARE_TURNS)

    @cached_property
    def pace(self) -> Pace:
        """Measures how fast this process sends."""
        return Pace(
            queue=self.store.due,
            board=self.store.pace_board,
            now=self.store.facts.time,
            name=self.name,
            places=self._hash_slots,
        )

    @cached_property
    def expiry(self) -> Expiry:
        """Ends challenges whose time is over."""
        return Expiry(
            challenges=self.store.challenges,
            queue=self.store.due,
            now=self.store.facts.time,
            tell=self.dispatcher.dispatch,
            record=self.dispatcher.record_end,
        )


def _parts(made: type) -> list[str]:
    """Name the cached properties of a class and its bases."""
    return [
        name
        for base in made.__mro__
        for name, part in vars(base).items()
        if isinstance(part, cached_property)
    ]
