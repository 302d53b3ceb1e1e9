"""What operators sign in with, see and are told: keys, sessions, balances, breakers, alerts.

Knows how these parts are made. Must not know what delivers a code, HTTP or a terminal.
"""

from functools import cached_property

from otp_service.access.keyring import LiveKeys
from otp_service.access.sessions import Sessions
from otp_service.alerts.lookout import Lookout
from otp_service.alerts.teller import Teller
from otp_service.bootstrap.verifying import Verifying
from otp_service.delivery.low_balances import LowBalances
from otp_service.events.sender import WebhookSender
from otp_service.net.public_only import PublicClient
from otp_service.ops.balances import AskedBalances
from otp_service.ops.places import Places
from otp_service.store.eviction import EvictionWatch
from otp_service.upstream.breakers import Breakers


class Watching(Verifying):
    """The use cases of apps, and what watches over them."""

    @cached_property
    def eviction(self) -> EvictionWatch:
        """Watches whether the store evicts keys."""
        return EvictionWatch(self.scripts, self.metrics.store_evicts.set)

    @cached_property
    def live_keys(self) -> LiveKeys:
        """The issued keys, as this process last read them."""
        return LiveKeys(
            self.keyring, report=lambda kind, seconds: self.metrics.key_ends.labels(kind).set(seconds)
        )

    @cached_property
    def sessions(self) -> Sessions:
        """The sessions of the console."""
        return Sessions(self.scripts, self.seal, prefix=self.settings.redis_prefix)

    @cached_property
    def ops_places(self) -> Places:
        """The operators' calls that run at once."""
        return Places()

    @cached_property
    def asked_balances(self) -> AskedBalances:
        """Asks accounts for their balance."""
        return AskedBalances(budget=self.store.get_budget)

    @cached_property
    def breakers(self) -> Breakers:
        """The circuit breakers of upstream accounts."""
        return Breakers(self.scripts, prefix=self.settings.redis_prefix)

    @cached_property
    def webhook_sender(self) -> WebhookSender:
        """Posts events to apps."""
        return WebhookSender(
            policy=lambda: self.policy,
            secrets=self.event_secrets,
            queue=self.store.events,
            facts=self.store.facts,
            client=PublicClient(allow_private=self.settings.private_events),
            metrics=self.metrics,
        )

    @cached_property
    def lookout(self) -> Lookout:
        """Finds what needs a person."""
        return Lookout(
            figures=self.figures,
            silences=self.silences,
            balances=LowBalances(self.store.facts),
            blocks=self.blocks,
            breakers=self.breakers,
            queue=self.store.due,
            membership=self.store.membership(self.store.due),
            wait=lambda: self.send_wait.estimate("send"),
            clock=self.store.facts.time,
        )

    @cached_property
    def teller(self) -> Teller:
        """Tells operators what needs a person."""
        return Teller(
            active=self.active,
            lookout=self.lookout,
            facts=self.store.facts,
            queue=self.store.events,
            sender=self.webhook_sender,
        )
