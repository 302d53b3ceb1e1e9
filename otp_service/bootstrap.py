"""The composition root: settings and policy become a running core.

Knows all classes. Must not know HTTP.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from otp_service import policy, settings
from otp_service.access.keyring import Keyring, LiveKeys
from otp_service.challenge.store import USUAL_RETENTION, ChallengeStore, Retention
from otp_service.crypto.code_hashes import Hasher
from otp_service.crypto.sealing import Seal
from otp_service.crypto.tokens import Signer
from otp_service.delivery.conversion import Figures
from otp_service.delivery.dispatcher import Courier
from otp_service.delivery.membership import Membership
from otp_service.delivery.receipts import Reception
from otp_service.errors import ConfigurationError, StoreUnavailable
from otp_service.events import standard_webhooks
from otp_service.events.outbox import Outbox
from otp_service.events.queue import EventQueue
from otp_service.events.sender import WebhookSender
from otp_service.guard import human_check
from otp_service.guard.admission import Admission
from otp_service.guard.captcha import SiteVerify
from otp_service.guard.limiter import Gate
from otp_service.guard.suppressions import Suppressions
from otp_service.net.public_only import PublicClient
from otp_service.ops.apps import Apps
from otp_service.ops.blocks import Blocks
from otp_service.ops.erasure import Erasure
from otp_service.policy import Policy, Upstream
from otp_service.policy.active import ActivePolicy, PolicyFollower
from otp_service.policy.versions import Policies, Version
from otp_service.settings import Settings
from otp_service.store.due import DueQueue
from otp_service.store.facts import Facts
from otp_service.store.partitions import Partitions
from otp_service.store.scripts import USUAL_LIMITS, Limits, Scripts, connect
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.breakers import Breakers
from otp_service.upstream.get_budget import GetBudget
from otp_service.upstream.mobtexting import Account, Batcher, Client
from otp_service.upstream.port import ChannelSender
from otp_service.verification.check import Check
from otp_service.verification.manage import Manage
from otp_service.verification.resend import Resend
from otp_service.verification.send import Send

SPARE_CONNECTIONS = 4
BLOCKS_KEPT = 24 * 3_600_000
"""Milliseconds that a block which has ended can still be explained."""


class Stores:
    """Everything that the product keeps in Redis, by part. A test moves their time by `scripts.offset`."""

    def __init__(
        self,
        scripts: Scripts,
        *,
        prefix: str,
        partitions: int,
        retention: Retention = USUAL_RETENTION,
        keep_events: int = 4 * 24 * 3_600_000,
    ) -> None:
        """`keep_events` is how long an event that its app does not accept is kept (milliseconds)."""
        self.scripts = scripts
        self.prefix = prefix
        self.partitions = Partitions(prefix, partitions)
        self.due = DueQueue(scripts, self.partitions, "due")
        self.events_due = DueQueue(scripts, self.partitions, "evt")
        self.challenges = ChallengeStore(scripts, self.partitions, due=self.due, retention=retention)
        self.events = EventQueue(
            scripts, self.partitions, due=self.events_due, challenges=self.due, ttl=keep_events
        )
        self.facts = Facts(scripts, prefix=prefix)
        self.suppressions = Suppressions(scripts, prefix=prefix)
        self.get_budget = GetBudget(scripts, prefix=prefix)

    def membership(self, queue: DueQueue) -> Membership:
        """Give the list of workers of a queue."""
        return Membership(self.scripts, prefix=self.prefix, queue=queue.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The parts that every process of the product shares."""

    settings: Settings
    active: PolicyFollower
    metrics: Metrics
    scripts: Scripts
    store: Stores
    policies: Policies
    keyring: Keyring
    live_keys: LiveKeys
    breakers: Breakers
    figures: Figures
    signer: Signer
    gate: Gate
    admission: Admission
    blocks: Blocks
    send: Send
    resend: Resend
    check: Check
    manage: Manage
    reception: Reception
    courier: Courier
    webhook_sender: WebhookSender
    seal: Seal
    erasure: Erasure
    workshop: "Workshop"

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.active().policy

    def close(self) -> None:
        """Give all connections back."""
        self.workshop.close()
        self.scripts.close()


def configure(environment: Mapping[str, str]) -> tuple[Settings, str | None]:
    """Read settings, and the policy to begin with. Raises ConfigurationError with every problem of both."""
    problems: list[str] = []
    read: Settings | None = None
    text: str | None = None
    try:
        read = settings.read(environment)
    except ConfigurationError as error:
        problems += error.problems
    if file := read.policy_file if read else environment.get("OTP_POLICY_FILE"):
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            problems.append("OTP_POLICY_FILE names a file that cannot be read")
    if text is not None:
        try:
            fitting(policy.parse(text), read, environment)
        except ConfigurationError as error:
            problems += error.problems
    if problems or read is None:
        raise ConfigurationError(problems)
    return read, text


def fitting(loaded: Policy, read: Settings | None, environment: Mapping[str, str]) -> None:
    """See that this process has every secret that a policy names, also while other settings are wrong.

    Raises ConfigurationError.
    """
    tokens = read.upstream_tokens if read else _as_given(environment)
    secrets = read.event_secrets if read else _as_given(environment)
    captcha = read.captcha_secret if read else environment.get("OTP_CAPTCHA_SECRET", "")
    problems = [
        *_account_problems(loaded, tokens, whole=read is not None),
        *_event_problems(loaded, secrets),
        *_check_problems(loaded, captcha),
    ]
    if problems:
        raise ConfigurationError(problems)


def _as_given(environment: Mapping[str, str]) -> dict[str, str]:
    return {name.removesuffix("_FILE"): value for name, value in environment.items()}


def _account_problems(loaded: Policy, tokens: Mapping[str, str], *, whole: bool) -> Iterator[str]:
    for upstream in loaded.upstreams.values():
        token = tokens.get(upstream.token_env)
        if not token:
            yield f"{upstream.token_env} is required: the token of upstream.{upstream.name}"
        elif whole:
            try:
                _account(upstream, token, 1)
            except ValueError as error:
                yield f"policy: upstream.{upstream.name}: {error}"


def _event_problems(loaded: Policy, secrets: Mapping[str, str]) -> Iterator[str]:
    for app in loaded.apps.values():
        if app.events is None:
            continue
        name = app.events.secret_env
        if not secrets.get(name):
            yield f"{name} is required: the secret that signs events of app.{app.name}"
            continue
        try:
            _event_secrets(secrets[name])
        except ValueError as error:
            yield f"{name} {error}"


def _check_problems(loaded: Policy, captcha: str) -> Iterator[str]:
    guards = [loaded.guard, *(app.guard for app in loaded.apps.values() if app.guard)]
    if not captcha and any(guard.human_check.kind == "siteverify" for guard in guards):
        yield "OTP_CAPTCHA_SECRET is required: the secret of the vendor that guard.human_check names"


def _event_secrets(text: str) -> list[bytes]:
    """Read one secret or, while it is rotated, several with a comma between, the newest first."""
    return [standard_webhooks.read_secret(one.strip()) for one in text.split(",")]


@dataclass
class Workshop:
    """Builds what a version of the policy needs; an account that did not change keeps its connections."""

    read: Settings
    threads: int
    _clients: dict[Account, Client] = field(default_factory=dict)

    def activate(self, version: Version) -> ActivePolicy:
        """Build for a version. Raises ConfigurationError for what this process cannot do."""
        loaded = policy.parse(version.text)
        fitting(loaded, self.read, {})
        return self.build(loaded, version.number)

    def build(self, loaded: Policy, number: int) -> ActivePolicy:
        """Build for a policy that fits."""
        accounts = {
            name: _account(upstream, self.read.upstream_tokens[upstream.token_env], self.threads)
            for name, upstream in loaded.upstreams.items()
        }
        # A client that is left out is not closed: a send may hold it still. Its connections go with the last of them.
        self._clients = {a: self._clients.get(a) or Client(a) for a in accounts.values()}
        clients = {name: self._clients[account] for name, account in accounts.items()}
        return ActivePolicy(
            version=number, policy=loaded, senders=_senders(loaded, clients), accounts=clients
        )

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()


def build(
    read: Settings,
    text: str | None,
    *,
    threads: int,
    hash_slots: int,
    role: str,
    limits: Limits = USUAL_LIMITS,
    offset: int = 0,
    reach: Callable[[str], None] = lambda _: None,
) -> Core:
    """Put the parts together for a process of `threads` threads that hashes `hash_slots` codes at once.

    `text` is the policy to begin with. Nothing is connected yet. `limits` bound each call of the store. `offset` moves
    the store's clock (milliseconds), `reach` is told where a process may die: both are for tests.
    """
    metrics = Metrics()
    scripts = Scripts(
        partial(
            connect,
            read.redis_url,
            connections=threads + SPARE_CONNECTIONS,
            name=f"otp-{role}",
            limits=limits,
        ),
        metrics.observe_store,
        offset=offset,
        limits=limits,
    )
    retention = Retention(
        challenges=read.keep_challenges * 1000,
        idempotency=read.keep_idempotency * 1000,
    )
    prefix = read.redis_prefix
    store = Stores(
        scripts,
        prefix=prefix,
        partitions=read.partitions,
        retention=retention,
        keep_events=read.keep_events * 1000,
    )
    policies = Policies(scripts, prefix=prefix)
    keyring = Keyring(scripts, prefix=prefix)
    breakers = Breakers(scripts, prefix=prefix)
    figures = Figures(scripts, prefix=prefix, clock=time.monotonic)
    signer = Signer(read.signing_keys, read.issuer)
    workshop = Workshop(read, threads)
    first = None if text is None else workshop.build(policy.parse(text), 0)
    active = PolicyFollower(policies, workshop.activate, seed=text, first=first)
    hasher = Hasher(
        read.peppers, read.hash_profile, hash_slots, waiting=metrics.hash_waiting.track_inprogress
    )
    seal = Seal(read.number_keys, read.lookup_keys, read.subject_key)
    outbox = Outbox(active=active, challenges=store.challenges, queue=store.events, facts=store.facts)
    reception = Reception(
        active=active,
        challenges=store.challenges,
        facts=store.facts,
        suppressions=store.suppressions,
        breakers=breakers,
        seal=seal,
        metrics=metrics,
    )
    gate = Gate(scripts, seal, prefix=prefix, keep=BLOCKS_KEPT)
    admission = Admission(
        gate=gate,
        seal=seal,
        check=human_check.Check(*read.lookup_keys.values()),
        captcha=cache(partial(SiteVerify, secret=read.captcha_secret)),
        outbox=outbox,
        metrics=metrics,
        clock=store.facts.time,
    )
    courier = Courier(
        active=active,
        challenges=store.challenges,
        facts=store.facts,
        suppressions=store.suppressions,
        budget=store.get_budget,
        breakers=breakers,
        figures=figures,
        hasher=hasher,
        seal=seal,
        outbox=outbox,
        admission=admission,
        reception=reception,
        metrics=metrics,
        reach=reach,
    )
    webhook_sender = WebhookSender(
        policy=lambda: active().policy,
        secrets={name: _event_secrets(secret) for name, secret in read.event_secrets.items()},
        queue=store.events,
        facts=store.facts,
        client=PublicClient(allow_private=read.private_events),
        metrics=metrics,
    )
    return Core(
        settings=read,
        active=active,
        metrics=metrics,
        scripts=scripts,
        store=store,
        policies=policies,
        keyring=keyring,
        live_keys=LiveKeys(keyring),
        breakers=breakers,
        figures=figures,
        signer=signer,
        gate=gate,
        admission=admission,
        blocks=Blocks(gate=gate, admission=admission, seal=seal, clock=store.facts.time),
        send=Send(
            challenges=store.challenges,
            facts=store.facts,
            figures=figures,
            hasher=hasher,
            seal=seal,
            signer=signer,
            admission=admission,
            metrics=metrics,
        ),
        resend=Resend(challenges=store.challenges, seal=seal, admission=admission),
        check=Check(
            challenges=store.challenges,
            figures=figures,
            hasher=hasher,
            seal=seal,
            signer=signer,
            admission=admission,
            outbox=outbox,
            metrics=metrics,
        ),
        manage=Manage(
            challenges=store.challenges, facts=store.facts, seal=seal, signer=signer, metrics=metrics
        ),
        reception=reception,
        courier=courier,
        webhook_sender=webhook_sender,
        seal=seal,
        erasure=Erasure(
            challenges=store.challenges,
            events=store.events,
            facts=store.facts,
            suppressions=store.suppressions,
            seal=seal,
            counters=gate.forget,
        ),
        workshop=workshop,
    )


def _account(upstream: Upstream, token: str, threads: int) -> Account:
    return Account(
        name=upstream.name,
        base_url=upstream.base_url,
        token=token,
        auth=upstream.auth,
        balance_paths=upstream.balance_paths,
        connect_timeout=upstream.connect_timeout,
        total_timeout=upstream.total_timeout,
        pool_size=threads,
        **{f"{call}_path": path for call, path in upstream.paths.items()},  # type: ignore[arg-type]
    )


def _senders(loaded: Policy, clients: Mapping[str, Client]) -> dict[tuple[str, str], ChannelSender]:
    """Give what sends over each channel that each account has."""
    found: dict[tuple[str, str], ChannelSender] = {}
    for name, upstream in loaded.upstreams.items():
        client = clients[name]
        if upstream.sms:
            found["sms", name] = Batcher(client, upstream.sms, size=upstream.sms.batch)
        if upstream.whatsapp:
            found["whatsapp", name] = partial(client.send_whatsapp, sender=upstream.whatsapp)
        if upstream.voice:
            found["voice", name] = partial(client.send_voice, sender=upstream.voice)
        if upstream.rcs:
            found["rcs", name] = partial(client.send_rcs, sender=upstream.rcs)
        if upstream.mip:
            found["mip", name] = partial(client.send_mip, sender=upstream.mip)
    return found


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def follow(core: Core) -> None:
    """See which policy is in force before anything is done by another, then follow it."""
    with suppress(StoreUnavailable):  # without the store nothing can be done anyway
        core.active.refresh()
    core.active.follow()


def follow_keys(core: Core) -> None:
    """See which keys live before anybody calls, then follow them."""
    with suppress(StoreUnavailable):  # until they are seen, callers with an issued key are asked to come back
        core.live_keys.look()
    core.live_keys.follow()


def checked(core: Core) -> Callable[[str], Policy]:
    """Give what checks a policy's text as this process would have to run it. It raises ConfigurationError."""

    def check(text: str) -> Policy:
        loaded = policy.parse(text)
        fitting(loaded, core.settings, {})
        return loaded

    return check


def apps_of(core: Core) -> Apps:
    """Give what adds and removes apps."""
    return Apps(policies=core.policies, keyring=core.keyring, check=checked(core))
