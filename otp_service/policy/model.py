"""The policy as values: apps, upstreams, routes and limits, and the plan that a number gets.

Pure: randomness and measured times are passed in. Must not know how the document is written.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from otp_service.challenge.model import Plan, Step
from otp_service.durations import MINUTE
from otp_service.errors import ChannelNotAvailable, NoRoute
from otp_service.phone import Number, calling_code
from otp_service.policy.limits import Guard
from otp_service.policy.review import Review
from otp_service.policy.split import Split
from otp_service.upstream.channels import (
    MipSettings,
    RcsSettings,
    SmsSettings,
    VoiceSettings,
    WhatsappSettings,
)

EVENTS = (
    "challenge.sent",
    "challenge.delivered",
    "challenge.fell_back",
    "challenge.verified",
    "challenge.failed",
    "challenge.blocked",
)
PATHS = (
    *(
        "sms",
        "sms_batch",
        "sms_status",
        "whatsapp",
        "whatsapp_status",
        "voice_tts",
        "voice_flow",
        "voice_status",
    ),
    *("rcs", "rcs_status", "mip", "mip_status", "lookup"),
)
"""The upstream's calls. A white label may use another path for each."""
TOLERANCE = 5
MAX_TTL = 10 * MINUTE
"""Seconds for which a code may be valid at most (NIST SP 800-63B 3.1.3.2, ASVS 6.5.5)."""
ROLES = ("read", "operate", "admin")
"""What operators may do. Each role includes the ones before it."""
KeyKind = Literal["publishable", "secret"]
AfterChoice = Literal["continue", "stop"]
Dice = Callable[[], float]
"""Returns a random number from 0 to below 1, evenly distributed."""
Learned = Callable[[str, str], float | None]
"""Returns the seconds within which 9 of 10 codes are verified, by channel and country; None if not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where requests of the service go. `secret_env` names the setting that holds the secret which signs them."""

    url: str
    secret_env: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Events(Endpoint):
    """Where an app receives events. No `types` means all."""

    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionHook(Endpoint):
    """The app's own endpoint that is asked about each send. `on_failure` is what an answer that does not come means."""

    on_failure: Literal["allow", "refuse"] = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A client of the service. Keys are SHA-256 hashes in hex. Without a `guard`, the common rules apply.

    `review` has its review numbers (E.164).
    `binding` "in_message" means that each message says the amount and the payee of its binding (PSD2 RTS, article 5).
    """

    name: str
    brand: str
    origins: tuple[str, ...] = ()
    publishable_keys: tuple[str, ...] = ()
    secret_keys: tuple[str, ...] = ()
    events: Events | None = None
    decision: DecisionHook | None = None
    guard: Guard | None = None
    binding: str = ""
    review: Mapping[str, Review] = field(default_factory=dict)

    def host(self, origin: str | None) -> str:
        """Return the host that the code is bound to: the requesting page's, or else the first that is a site's."""
        if origin in self.origins:
            return _site(origin or "")
        return next((host for known in self.origins if (host := _site(known))), "")


def _site(origin: str) -> str:
    """Return the host of an origin, empty if it is a hybrid app's: every such app has the same, as localhost."""
    scheme, host = urlsplit(origin).scheme, urlsplit(origin).hostname or ""
    is_site = scheme == "http" or (scheme == "https" and host != "localhost")
    return host if is_site and not host.endswith(".localhost") else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A person who may use the operators' API. Keys are SHA-256 hashes in hex.

    The default role is `admin`: whoever edits the policy can already do anything, and the first issued key needs an
    admin. With `apps`, the operator sees and does only what belongs to these; without, everything. Keys that are issued
    to an operator of this name have the same limit.
    """

    name: str
    keys: tuple[str, ...] = ()
    role: str = "admin"
    apps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeRules:
    """The rules for challenges. Times are in seconds.

    `earlier_codes` is how many codes stay valid beside the newest. `auto_wait` bounds the waits that are learned.
    """

    code_length: int = 6
    ttl: int = 300
    max_attempts: int = 5
    max_sends: int = 3
    cooldown: tuple[int, ...] = (30, 60, 120)
    earlier_codes: int = 3
    after_choice: AfterChoice = "continue"
    auto_wait: tuple[int, int] = (10, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptSettings:
    """What authenticates an upstream's delivery reports.

    `secrets` are SHA-256 hashes in hex of the secret in the webhook's path or Bearer, `signature_ids` the webhook ids
    that sign. `fields` names the fields of a composed webhook for id, status and reference, where it has any.
    """

    secrets: tuple[str, ...]
    signature_ids: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An account at an upstream, with a table for each channel that it serves.

    `token_env` names the setting that holds its token. `paths` are the paths that differ from the documented ones, by
    the names in `PATHS`. Times are in seconds. If `pull` is set, missing delivery reports are fetched, with at most
    `gets_per_minute` GET requests. `tolerance` faults in a row open a breaker. Below `low_balance` operators are
    warned.
    """

    name: str
    kind: str
    base_url: str
    token_env: str
    auth: Literal["header", "query", "body"] = "header"
    paths: Mapping[str, str] = field(default_factory=dict)
    balance_paths: tuple[str, ...] = ("account/balance", "finance/balance")
    connect_timeout: float = 2.0
    total_timeout: float = 5.0
    gets_per_minute: int = 1000
    pull: bool = True
    tolerance: int = TOLERANCE
    low_balance: float | None = None
    sms: SmsSettings | None = None
    whatsapp: WhatsappSettings | None = None
    voice: VoiceSettings | None = None
    rcs: RcsSettings | None = None
    mip: MipSettings | None = None
    receipts: ReceiptSettings | None = None

    def has(self, channel: str) -> bool:
        """Tell whether the account has a table for a channel."""
        return getattr(self, channel) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a route matches. An empty field matches everything. `prefixes` are the first digits of E.164 numbers."""

    countries: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()

    def serves(self, number: Number, app: str, purpose: str) -> bool:
        """Tell whether the number, app and purpose match."""
        return (
            (not self.countries or number.country in self.countries)
            and (not self.prefixes or number.e164.startswith(self.prefixes))
            and (not self.types or number.type in self.types)
            and (not self.apps or app in self.apps)
            and (not self.purposes or purpose in self.purposes)
        )

    def may_meet(self, country: str) -> bool:
        """Tell whether any number of the country could match."""
        code = calling_code(country)
        return (not self.countries or country in self.countries) and (
            not self.prefixes or any(p.startswith(code) or code.startswith(p) for p in self.prefixes)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRule:
    """A step as written in the policy. Without `weights` the accounts are in order; without `wait` it is learned."""

    channel: str
    upstreams: tuple[str, ...]
    weights: tuple[int, ...] = ()
    wait: int | None = 30
    until: str = "delivered"
    condition: str = ""
    lines: str = "on"

    def order(self, dice: Dice) -> tuple[str, ...]:
        """Order the accounts: as written, or drawn at random by weight, each once."""
        if not self.weights:
            return self.upstreams
        left = dict(zip(self.upstreams, self.weights, strict=True))
        drawn: list[str] = []
        while left:
            chosen = _draw(left, dice())
            drawn.append(chosen)
            del left[chosen]
        return tuple(drawn)


def _draw(weights: Mapping[str, int], share: float) -> str:
    mark = share * sum(weights.values())
    for name, weight in weights.items():
        mark -= weight
        if mark < 0:
            return name
    return next(reversed(list(weights)))  # rounding may leave a rest beyond the last one


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A match and an ordered list of steps. Without `after_choice`, that of `[challenge]` applies.

    A `split` gives some of the people the steps in another order.
    """

    steps: tuple[StepRule, ...]
    match: Match = field(default_factory=Match)
    name: str = ""
    after_choice: AfterChoice | None = None
    split: Split | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole policy. `templates` are by channel and locale; `hosts` are those to which texts may lead.

    `alerts` is the operators' own endpoint.
    """

    apps: Mapping[str, App]
    upstreams: Mapping[str, Upstream]
    routes: tuple[Route, ...]
    operators: Mapping[str, Operator] = field(default_factory=dict)
    challenge: ChallengeRules = field(default_factory=ChallengeRules)
    guard: Guard = field(default_factory=Guard)
    alerts: Endpoint | None = None
    templates: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    _owners: Mapping[str, tuple[App, KeyKind]] = field(init=False, repr=False, compare=False)
    _operators: Mapping[str, str] = field(init=False, repr=False, compare=False)
    """Who has which key, by its hash: each request asks, and there may be a thousand apps."""

    def __post_init__(self) -> None:
        owners: dict[str, tuple[App, KeyKind]] = {}
        for app in self.apps.values():
            owners |= dict.fromkeys(app.publishable_keys, (app, "publishable"))
            owners |= dict.fromkeys(app.secret_keys, (app, "secret"))
        object.__setattr__(self, "_owners", owners)
        operators = {digest: name for name, who in self.operators.items() for digest in who.keys}
        object.__setattr__(self, "_operators", operators)

    def key_owner(self, digest: str) -> tuple[App, KeyKind] | None:
        """Return the app and kind of the API key with this SHA-256 hash in hex."""
        return self._owners.get(digest)

    def operator_of(self, digest: str) -> str | None:
        """Return the name of the operator whose key has this SHA-256 hash in hex."""
        return self._operators.get(digest)

    def guard_of(self, app: str) -> Guard:
        """Return the guard's rules for an app."""
        known = self.apps.get(app)
        return (known.guard if known else None) or self.guard

    def route_for(self, number: Number, app: str, purpose: str) -> tuple[int, Route]:
        """Return the first route that serves the number, with its place. Raises NoRoute."""
        for place, route in enumerate(self.routes):
            if route.match.serves(number, app, purpose):
                return place, route
        raise NoRoute

    def channels(self, number: Number, app: str, purpose: str) -> tuple[str, ...]:
        """List the channels of a number's route in the order of its steps. Raises NoRoute."""
        _, route = self.route_for(number, app, purpose)
        return tuple(dict.fromkeys(step.channel for step in route.steps))

    def plan(
        self, number: Number, app: str, purpose: str, channel: str | None, *, dice: Dice, learned: Learned
    ) -> Plan:
        """Make the plan for a number. A requested channel is tried first; without one, a split may draw an order.

        Raises NoRoute, or ChannelNotAvailable if no step has the requested channel.
        """
        place, route = self.route_for(number, app, purpose)
        rules = self.challenge
        ordered, arm = _ordered(route, channel, dice)
        return Plan(
            steps=tuple(
                Step(
                    channel=step.channel,
                    upstreams=step.order(dice),
                    wait=self.wait(step, number.country, learned),
                    until=step.until,
                    condition=step.condition,
                    lines=step.lines,
                )
                for step in ordered
            ),
            code_length=rules.code_length,
            ttl=rules.ttl,
            max_attempts=rules.max_attempts,
            max_sends=rules.max_sends,
            cooldown=rules.cooldown,
            live_codes=rules.earlier_codes + 1,
            after_choice=route.after_choice or rules.after_choice,
            route=route.name or str(place),
            arm=arm,
        )

    def wait(self, step: StepRule, country: str, learned: Learned) -> int:
        """Return a step's wait in whole seconds: as written, or as learned within the bounds, or the upper bound."""
        if step.wait is not None:
            return step.wait
        low, high = self.challenge.auto_wait
        seconds = learned(step.channel, country)
        return high if seconds is None else math.ceil(min(high, max(low, seconds)))


def _ordered(route: Route, channel: str | None, dice: Dice) -> tuple[list[StepRule], str]:
    """Order a route's steps, and name the arm of its split: none if a channel was requested, as nothing is drawn."""
    if route.split is None or channel is not None:
        return _first(route.steps, channel), ""
    return route.split.draw(route.steps, dice)


def _first(steps: Sequence[StepRule], channel: str | None) -> list[StepRule]:
    """Move the steps of a requested channel to the front."""
    if channel is not None and all(step.channel != channel for step in steps):
        raise ChannelNotAvailable(step.channel for step in steps)
    return sorted(steps, key=lambda step: channel is not None and step.channel != channel)
