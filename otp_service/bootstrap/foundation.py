"""What every process needs, down to an operator's smallest command: the stores, the policy's versions, the key rings.

Knows how these are made from a configuration. Must not import what sends, hashes, serves HTTP or calls a vendor:
a test starts a command and looks at what was imported.
"""

import os
import socket
from collections.abc import Callable
from functools import partial

from otp_service.access.keyring import Keyring
from otp_service.bootstrap.configuration import Configuration
from otp_service.bootstrap.stores import Stores
from otp_service.challenge.store import Retention
from otp_service.crypto.sealing import Seal
from otp_service.errors import StoreUnavailable
from otp_service.ops.audit_trail import AuditTrail
from otp_service.policy import Policy
from otp_service.policy.active import NO_POLICY
from otp_service.policy.followers import Followers
from otp_service.policy.versions import Policies
from otp_service.settings import Settings
from otp_service.store.connection import USUAL_LIMITS, Limits, connect
from otp_service.store.layout import LayoutMark
from otp_service.store.replication import Durability
from otp_service.store.scripts import Scripts

SPARE_CONNECTIONS = 4
"""Connections to the store beside one for each thread."""


class Foundation:
    """The stores, the policy's versions and the key rings. Nothing is connected before the first call."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        role: str,
        threads: int = 1,
        limits: Limits = USUAL_LIMITS,
        offset: int = 0,
        observe: Callable[[str, float], None] = lambda _name, _seconds: None,
    ) -> None:
        """Make the foundation of a process with so many threads.

        `role` names the process in the store's list of clients. `limits` bound each call of the store, and `observe`
        is told how long it took. `offset` moves the store's clock (milliseconds) in tests.
        """
        read = configuration.settings
        self.configuration = configuration
        self.settings = read
        self.role = role
        self.threads = threads
        client = partial(
            connect,
            read.redis_url,
            connections=threads + SPARE_CONNECTIONS,
            name=f"otp-{role}",
            limits=limits,
        )
        self.scripts = Scripts(
            client,
            observe,
            offset=offset,
            limits=limits,
            durability=Durability(read.redis_wait_replicas, read.redis_wait_ms),
        )
        self.layout = LayoutMark(self.scripts, prefix=read.redis_prefix)
        self.scripts.admit = self.layout.admit
        self.store = _stores(self.scripts, read)
        self.audit_trail = AuditTrail(self.scripts, prefix=read.redis_prefix)
        record = self.audit_trail.record
        self.policies = Policies(self.scripts, prefix=read.redis_prefix, record=record)
        self.keyring = Keyring(self.scripts, prefix=read.redis_prefix, record=record)
        self.followers = Followers(self.scripts, prefix=read.redis_prefix)
        self.seal = Seal(read.number_keys, read.lookup_keys, read.subject_key)

    @property
    def name(self) -> str:
        """What operators call this process."""
        return f"{self.role} {self.settings.worker_name or socket.gethostname()}:{os.getpid()}"

    def policy_in_force(self) -> Policy:
        """Read the policy in force; it is the policy file's while the store holds none.

        Raises StoreUnavailable, also if there is no policy at all, and ConfigurationError.
        """
        if newest := self.policies.newest():
            return self.configuration.parse(newest.text)
        if self.configuration.policy_file:
            return self.configuration.policy_file.policy
        raise StoreUnavailable(NO_POLICY, retry_after=2)

    def close(self) -> None:
        """Close all connections."""
        self.scripts.close()


def _stores(scripts: Scripts, read: Settings) -> Stores:
    return Stores(
        scripts,
        prefix=read.redis_prefix,
        partitions=read.partitions,
        retention=Retention(
            challenges=read.keep_challenges * 1000,
            idempotency=read.keep_idempotency * 1000,
        ),
        keep_events=read.keep_events * 1000,
        keep_history=read.keep_history * 1000,
    )
