"""The running core: all parts that serve requests and do a worker's jobs, on top of the foundation.

Knows every class and what it needs. Must not know HTTP or a terminal.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache, cached_property, partial

from otp_service.access.keyring import LiveKeys
from otp_service.bootstrap.activation import event_secrets
from otp_service.bootstrap.configuration import Configuration
from otp_service.bootstrap.editing import PolicyEditing
from otp_service.crypto.code_hashes import Hasher
from otp_service.crypto.tokens import Signer
from otp_service.delivery.account_health import AccountHealth
from otp_service.delivery.charges import Charges
from otp_service.delivery.dispatcher import Dispatcher
from otp_service.delivery.receipt_pull import ReceiptPull
from otp_service.delivery.receipts import Receipts
from otp_service.delivery.replies import Replies
from otp_service.delivery.send_recorder import SendRecorder
from otp_service.delivery.settlement import Settlement
from otp_service.delivery.step_chooser import StepChooser
from otp_service.errors import StoreUnavailable
from otp_service.events.outbox import Outbox
from otp_service.events.sender import WebhookSender
from otp_service.guard.admission import Admission
from otp_service.guard.captcha import SiteVerify
from otp_service.guard.human_check import ProofOfWork
from otp_service.net.public_only import PublicClient
from otp_service.policy import Policy
from otp_service.policy.active import PolicyFollower
from otp_service.store.connection import USUAL_LIMITS, Limits
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.breakers import Breakers
from otp_service.verification.check import Check
from otp_service.verification.manage import Manage
from otp_service.verification.resend import Resend
from otp_service.verification.send import Send


class Core(PolicyEditing):
    """All parts: those that operators use, and those that serve requests and send codes."""

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
        """Make all parts for a process with so many threads, which hashes `hash_slots` codes at once.

        `role`, `limits` and `offset` are the foundation's. `reach` is told where a process may die, for tests.
        """
        self.metrics = Metrics()
        super().__init__(
            configuration,
            threads=threads,
            role=role,
            limits=limits,
            offset=offset,
            observe=self.metrics.observe_store,
        )
        self._hash_slots = hash_slots
        self._reach = reach
        for name in _parts(Core):
            getattr(self, name)  # now, as two threads could each make one later

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.active().policy

    def follow(self) -> None:
        """Read which policy is in force, then follow it in a thread."""
        with suppress(StoreUnavailable):  # without the store nothing can be done anyway
            self.active.refresh()
        self.active.follow()

    def follow_keys(self) -> None:
        """Read which API keys are valid, then follow them in a thread."""
        with suppress(
            StoreUnavailable
        ):  # until they are read, a caller with an issued key is told to come back
            self.live_keys.refresh()
        self.live_keys.follow()

    def close(self) -> None:
        """Close all connections."""
        self.activation.close()
        super().close()

    # The policy in force, and who may call.

    @cached_property
    def active(self) -> PolicyFollower:
        """The policy in force, with what was built for it."""
        first = self.configuration.first
        return PolicyFollower(
            self.policies,
            self.activation.activate,
            seed=first.text if first else None,
            first=self.activation.build(first.policy, 0) if first else None,
        )

    @cached_property
    def live_keys(self) -> LiveKeys:
        """The issued keys, as this process last read them."""
        return LiveKeys(self.keyring)

    # What sending and checking share.

    @cached_property
    def hasher(self) -> Hasher:
        """Hashes codes."""
        return Hasher(
            self.settings.peppers,
            self.settings.hash_profile,
            self._hash_slots,
            waiting=self.metrics.hash_waiting.track_inprogress,
        )

    @cached_property
    def signer(self) -> Signer:
        """Signs and checks tokens."""
        return Signer(self.settings.signing_keys, self.settings.issuer)

    @cached_property
    def breakers(self) -> Breakers:
        """The circuit breakers of upstream accounts."""
        return Breakers(self.scripts, prefix=self.settings.redis_prefix)

    @cached_property
    def outbox(self) -> Outbox:
        """Queues events for apps."""
        return Outbox(
            active=self.active,
            challenges=self.store.challenges,
            queue=self.store.events,
            facts=self.store.facts,
        )

    # The guard.

    @cached_property
    def admission(self) -> Admission:
        """Decides whether a send may go out."""
        return Admission(
            limiter=self.limiter,
            history=self.history,
            seal=self.seal,
            proof_of_work=ProofOfWork(*self.settings.lookup_keys.values()),
            captcha=cache(partial(SiteVerify, secret=self.settings.captcha_secret)),
            outbox=self.outbox,
            metrics=self.metrics,
            clock=self.store.facts.time,
        )

    # What apps ask for.

    @cached_property
    def send(self) -> Send:
        """Opens challenges."""
        return Send(
            challenges=self.store.challenges,
            facts=self.store.facts,
            conversion=self.conversion,
            hasher=self.hasher,
            seal=self.seal,
            signer=self.signer,
            admission=self.admission,
            metrics=self.metrics,
        )

    @cached_property
    def resend(self) -> Resend:
        """Sends another code for a challenge."""
        return Resend(challenges=self.store.challenges, seal=self.seal, admission=self.admission)

    @cached_property
    def check(self) -> Check:
        """Checks codes."""
        return Check(
            challenges=self.store.challenges,
            conversion=self.conversion,
            hasher=self.hasher,
            seal=self.seal,
            signer=self.signer,
            admission=self.admission,
            outbox=self.outbox,
            metrics=self.metrics,
        )

    @cached_property
    def manage(self) -> Manage:
        """Reads and cancels challenges, and redeems tokens."""
        return Manage(
            challenges=self.store.challenges,
            facts=self.store.facts,
            seal=self.seal,
            signer=self.signer,
            metrics=self.metrics,
        )

    # What workers do, and what upstreams report.

    @cached_property
    def account_health(self) -> AccountHealth:
        """Tells breakers how messages ended."""
        return AccountHealth(self.breakers, self.metrics, self.active)

    @cached_property
    def receipts(self) -> Receipts:
        """Records delivery reports."""
        return Receipts(
            challenges=self.store.challenges,
            account_health=self.account_health,
            seal=self.seal,
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
        )

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """Sends codes."""
        charges = Charges(self.admission)
        return Dispatcher(
            active=self.active,
            challenges=self.store.challenges,
            suppressions=self.store.suppressions,
            steps=StepChooser(
                facts=self.store.facts, breakers=self.breakers, seal=self.seal, metrics=self.metrics
            ),
            charges=charges,
            recorder=SendRecorder(
                account_health=self.account_health,
                conversion=self.conversion,
                charges=charges,
                metrics=self.metrics,
            ),
            settlement=Settlement(challenges=self.store.challenges, seal=self.seal, metrics=self.metrics),
            receipt_pull=ReceiptPull(
                challenges=self.store.challenges, budget=self.store.get_budget, receipts=self.receipts
            ),
            hasher=self.hasher,
            seal=self.seal,
            outbox=self.outbox,
            metrics=self.metrics,
            reach=self._reach,
        )

    @cached_property
    def webhook_sender(self) -> WebhookSender:
        """Posts events to apps."""
        return WebhookSender(
            policy=lambda: self.policy,
            secrets={name: event_secrets(secret) for name, secret in self.settings.event_secrets.items()},
            queue=self.store.events,
            facts=self.store.facts,
            client=PublicClient(allow_private=self.settings.private_events),
            metrics=self.metrics,
        )


def _parts(made: type) -> list[str]:
    """Name the cached properties of a class and its bases."""
    return [
        name
        for base in made.__mro__
        for name, part in vars(base).items()
        if isinstance(part, cached_property)
    ]


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
