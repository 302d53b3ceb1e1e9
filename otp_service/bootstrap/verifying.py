"""What apps ask for: codes are sent and checked, challenges are read and cancelled.

Knows how these use cases are made, and what they share. Must not know how a code reaches a person.
"""

from collections.abc import Mapping, Sequence
from functools import cache, cached_property, partial

from otp_service.bootstrap.configuration import Configuration
from otp_service.bootstrap.editing import PolicyEditing
from otp_service.crypto.code_hashes import Hasher
from otp_service.crypto.tokens import Signer
from otp_service.delivery.send_wait import SendWait
from otp_service.delivery.worker_watch import WorkerWatch
from otp_service.events.outbox import Outbox
from otp_service.events.signing_secrets import read_secrets
from otp_service.guard.admission import Admission
from otp_service.guard.captcha import SiteVerify
from otp_service.guard.decision_hook import MOST_BYTES, Decisions
from otp_service.guard.human_check import ProofOfWork
from otp_service.history.journal import Journal, process_time
from otp_service.history.writer import HistoryWriter
from otp_service.net.public_only import PublicClient
from otp_service.policy import Policy
from otp_service.store.connection import USUAL_LIMITS, Limits
from otp_service.telemetry.metrics import Metrics
from otp_service.verification.check import Check
from otp_service.verification.manage import Manage
from otp_service.verification.options import Options
from otp_service.verification.redeem import Redeem
from otp_service.verification.refunds import Refunds
from otp_service.verification.resend import Resend
from otp_service.verification.send import Send


class Verifying(PolicyEditing):
    """The operators' acts, with the use cases of apps."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        threads: int,
        hash_slots: int,
        role: str,
        limits: Limits = USUAL_LIMITS,
        offset: int = 0,
    ) -> None:
        """Prepare a process with so many threads, which hashes `hash_slots` codes at once.

        `role`, `limits` and `offset` are the foundation's.
        """
        self.metrics = Metrics()
        self._hash_slots = hash_slots
        super().__init__(
            configuration,
            threads=threads,
            role=role,
            limits=limits,
            offset=offset,
            observe=self.metrics.observe_store,
        )

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.active().policy

    @cached_property
    def journal(self) -> Journal:
        """Takes notes of what happens, for whoever listens."""
        dropped = self.metrics.notes_dropped.inc
        made = Journal(clock=lambda: process_time() + self.scripts.offset, dropped=dropped)
        made.listen(self.counters.take)
        made.listen(self.silences.take)
        if self.settings.keep_history:
            made.listen(HistoryWriter(self.store.stories, self.seal, dropped=dropped))
        return made

    def close(self) -> None:
        """Hand over what was noted, then close all connections."""
        self.journal.hand_over()
        self.decisions.close()
        super().close()

    @cached_property
    def hasher(self) -> Hasher:
        """Hashes codes."""
        return Hasher(
            self.settings.peppers,
            self.settings.hash_profile,
            self._hash_slots,
            waiting=self.metrics.hash_waiting.track_inprogress,
            observe=self.metrics.hash_seconds.observe,
        )

    @cached_property
    def signer(self) -> Signer:
        """Signs and checks tokens."""
        return Signer(self.settings.signing_keys, self.settings.device_keys, self.settings.issuer)

    @cached_property
    def outbox(self) -> Outbox:
        """Queues events for apps."""
        return Outbox(
            active=self.active,
            challenges=self.store.challenges,
            queue=self.store.events,
            facts=self.store.facts,
            journal=self.journal,
        )

    @cached_property
    def event_secrets(self) -> Mapping[str, Sequence[bytes]]:
        """What signs requests to apps, by the name of its setting, each with the newest first."""
        return {name: read_secrets(secret) for name, secret in self.settings.event_secrets.items()}

    @cached_property
    def decisions(self) -> Decisions:
        """Asks apps about sends."""
        client = PublicClient(allow_private=self.settings.private_events, most=MOST_BYTES)
        return Decisions(self.event_secrets, self.metrics, client=client)

    @cached_property
    def admission(self) -> Admission:
        """Decides whether a send may go out."""
        return Admission(
            limiter=self.limiter,
            history=self.history,
            seal=self.seal,
            proof_of_work=ProofOfWork(*self.settings.lookup_keys.values()),
            captcha=cache(partial(SiteVerify, secret=self.settings.captcha_secret)),
            decisions=self.decisions,
            outbox=self.outbox,
            journal=self.journal,
            metrics=self.metrics,
            clock=self.store.facts.time,
        )

    @cached_property
    def workers(self) -> WorkerWatch:
        """Tells whether workers are alive."""
        return WorkerWatch(
            self.store.membership(self.store.due),
            [self.store.due, self.store.events_due],
            self.metrics,
            silence=self.settings.worker_silence,
        )

    @cached_property
    def send_wait(self) -> SendWait:
        """Refuses sends that would wait too long."""
        return SendWait(self.store.pace_board, self.metrics, limit=self.settings.send_wait)

    @cached_property
    def refunds(self) -> Refunds:
        """Gives charges back when the store failed."""
        return Refunds()

    @cached_property
    def send(self) -> Send:
        """Opens challenges."""
        return Send(
            challenges=self.store.challenges,
            facts=self.store.facts,
            learned_wait=self.learned_waits.wait,
            hasher=self.hasher,
            seal=self.seal,
            signer=self.signer,
            admission=self.admission,
            workers=self.workers,
            wait=self.send_wait,
            refunds=self.refunds,
            journal=self.journal,
            metrics=self.metrics,
        )

    @cached_property
    def options(self) -> Options:
        """Tells which channels a number would get."""
        return Options(self.scripts, self.seal, prefix=self.settings.redis_prefix)

    @cached_property
    def resend(self) -> Resend:
        """Sends another code for a challenge."""
        return Resend(
            challenges=self.store.challenges,
            seal=self.seal,
            admission=self.admission,
            workers=self.workers,
            wait=self.send_wait,
            refunds=self.refunds,
            journal=self.journal,
        )

    @cached_property
    def check(self) -> Check:
        """Checks codes."""
        return Check(
            challenges=self.store.challenges,
            hasher=self.hasher,
            seal=self.seal,
            signer=self.signer,
            admission=self.admission,
            outbox=self.outbox,
            journal=self.journal,
            metrics=self.metrics,
        )

    @cached_property
    def manage(self) -> Manage:
        """Reads and cancels challenges."""
        return Manage(
            challenges=self.store.challenges, seal=self.seal, journal=self.journal, metrics=self.metrics
        )

    @cached_property
    def redeem(self) -> Redeem:
        """Redeems tokens."""
        return Redeem(facts=self.store.facts, seal=self.seal, signer=self.signer, journal=self.journal)
