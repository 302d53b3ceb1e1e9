"""What may be sent at all: one send becomes a list of lines, one for each rule that has a say.

Pure. Must not know where counters live. A line says what is counted, whose it is, and what follows when it is too
much; the store judges all lines at once and charges all or none, so that a refused send spends nothing of anybody.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from otp_service import phone
from otp_service.challenge.model import Challenge
from otp_service.errors import Standing
from otp_service.phone import Number
from otp_service.policy import Budget, Guard
from otp_service.policy.limits import ConversionRule, Cooldown, Money

IPV6_SUBSCRIBER = 64
"""Bits of an IPv6 address that name one subscriber (RFC 6177)."""
LINE_DIGITS = 4
"""Last digits of a number that pumping counts through; without them it is a prefix."""
Known = Literal["", "session", "returning", "device"]
"""How well a caller is known: a stranger, a session that a server names, one that verified this number before, or a
device that did. They never share a budget of a number: a server names a session for each stranger, too."""
FAMILIARITY: tuple[Known, ...] = ("", "session", "returning", "device")
Owner = Literal["caller", "service", "destination", "person"]

MARKS = {
    "address": "a",
    "session": "s",
    "app": "p",
    "money": "m",
    "everything": "e",
    "guessing": "g",
    "country": "c",
    "conversion": "v",
    "prefix": "x",
    "failures": "f",
    "cooldown": "l",
    "number": "n",
}
"""How the fields of each rule's counters start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is known of one send.

    `address` is None for a server that names none, `channel` that of the first step.
    """

    number: Number
    app: str
    purpose: str
    channel: str = "sms"
    address: str | None = None
    session: str = ""
    known: Known = ""

    @property
    def prefix(self) -> str:
        """Give the number without the digits that pumping counts through."""
        return self.number.e164[:-LINE_DIGITS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One rule's say. `scope` and `subject` name the counter; `figures` are those of its kind, in milliseconds.

    `of` names the app whose own figures they are, if any: what they hold, they hold for that app only. `private` tells
    that the subject is a person's, and must be read by nobody who only has the store.
    """

    rule: str
    owner: Owner
    kind: Literal["fixed", "listed", "count", "ladder", "share", "clear"]
    on: bool = True
    of: str = ""
    scope: str = ""
    subject: tuple[str, ...] = ()
    cost: int = 1
    private: bool = False
    figures: Mapping[str, Any] = field(default_factory=dict)


def known_as(word: str) -> Known:
    """Read how well a caller is known from where it was written down."""
    return next((known for known in FAMILIARITY if known == word), "")


def asked_of(challenge: Challenge, e164: str) -> Asked:
    """Say whose act a challenge was, as far as what comes after its start is concerned."""
    number = phone.Number(e164, phone.country_of(e164), "")
    return Asked(number=number, app=challenge.app, purpose=challenge.purpose, known=known_as(challenge.known))


def lines_of_send(guard: Guard, asked: Asked) -> list[Line]:
    """List what has a say in a send, what the caller owns before what a victim owns."""
    return _asked_for(guard, *_all(guard, asked))


def lines_of_fallback(guard: Guard, asked: Asked) -> list[Line]:
    """List what has a say in a message that nobody asked for now.

    It waits for no cooldown, and a challenge's conversion is that of its first message.
    """
    return [line for line in lines_of_send(guard, asked) if line.rule not in {"cooldown", "conversion"}]


def limits_of(rules: Guard, lines: Iterable[Line]) -> Iterator[dict[str, Any]]:
    """List the rules that have a say, and their limits."""
    for line in lines:
        rule = getattr(rules, line.rule)
        tiers = rule.tiers() if isinstance(rule, Budget) else ()
        limits = [f"{window.limit} in {window.seconds} s: {level}" for level, window in tiers]
        yield {"rule": line.rule, "mode": rule.mode, "limits": limits}


def _all(guard: Guard, asked: Asked) -> Iterator[Line]:
    yield from _fixed(guard, asked)
    trusted = asked.known == "device"
    yield from _of_address(guard, asked)
    if asked.session:
        yield _budget(guard, "session", "caller", "session", (asked.app, asked.session), private=True)
    yield _budget(guard, "app", "service", "app", (asked.app,))
    yield _money(guard, asked, guard.money.price(asked.channel, asked.number.country))
    yield _budget(guard, "everything", "service", "all", ())
    yield _budget(guard, "guessing", "service", "guesses", (), cost=0)
    if not trusted:
        yield from _of_places(guard, asked)
    yield _listed(guard, "suppression", "person", asked)
    if asked.purpose in guard.recycled.purposes:
        yield _listed(guard, "recycled", "destination", asked)
    number = (asked.number.e164, asked.known)
    yield _budget(guard, "failures", "destination", "number", number, cost=0, private=True)
    yield _ladder(guard.cooldown, number)
    yield _budget(guard, "number", "destination", "number", number, private=True)


def _fixed(guard: Guard, asked: Asked) -> Iterator[Line]:
    if not guard.countries.has(asked.number.country):
        yield _fixed_line("countries", guard.countries.mode)
    if asked.number.type in guard.number_types.refuse:
        yield _fixed_line("number_types", guard.number_types.mode)


def _fixed_line(rule: str, mode: str) -> Line:
    return Line(
        rule=rule, owner="destination", kind="fixed", on=mode == "enforce", figures={"level": "refuse"}
    )


def _of_address(guard: Guard, asked: Asked) -> Iterator[Line]:
    if asked.address is not None and asked.known != "device":
        yield _budget(guard, "address", "caller", "address", (subscriber(asked.address),), private=True)


def _of_places(guard: Guard, asked: Asked) -> Iterator[Line]:
    """List the lines of where the number is; a device that verified the number is no part of an attack on its place."""
    country, prefix = asked.number.country, (asked.prefix, asked.known)
    yield _budget(guard, "country", "destination", "country", (country,))
    yield _share(guard.conversion, "country-codes", (country, asked.known))
    yield _share(guard.conversion, "prefix", prefix)
    yield _budget(guard, "prefix", "destination", "prefix", prefix, private=True)


def _budget(
    guard: Guard,
    rule: str,
    owner: Owner,
    scope: str,
    subject: tuple[str, ...],
    *,
    cost: int = 1,
    private: bool = False,
) -> Line:
    budget: Budget = getattr(guard, rule)
    return Line(
        rule=rule,
        owner=owner,
        kind="count",
        on=budget.mode == "enforce",
        of=budget.of,
        scope=scope,
        subject=subject,
        cost=cost,
        private=private,
        figures=budget.figures,
    )


def _money(guard: Guard, asked: Asked, amount: float) -> Line:
    return Line(
        rule="money",
        owner="service",
        kind="count",
        on=guard.money.mode == "enforce",
        of=guard.money.of,
        scope="app",
        subject=(asked.app,),
        cost=round(amount * guard.money.unit),
        figures=guard.money.figures,
    )


def _ladder(rule: Cooldown, number: tuple[str, ...]) -> Line:
    return Line(
        rule="cooldown",
        owner="destination",
        kind="ladder",
        on=rule.mode == "enforce",
        scope="number",
        subject=number,
        private=True,
        figures={"steps": [1000 * pause for pause in rule.ladder], "forget": rule.forget * 1000},
    )


def _share(rule: ConversionRule, scope: str, subject: tuple[str, ...], **more: Any) -> Line:  # noqa: ANN401 - figures
    return Line(
        rule="conversion",
        owner="destination",
        kind="share",
        on=rule.mode == "enforce",
        of=rule.of,
        scope=scope,
        subject=subject,
        private=scope == "prefix",
        figures={
            "share": rule.share,
            "least": rule.sends,
            "probes": rule.probes,
            "within": rule.within * 1000,
            "grace": rule.grace * 1000,
            "hold": rule.hold * 1000,
            "longest": rule.longest * 1000,
            "level": rule.prefix if scope == "prefix" else rule.country,
            **more,
        },
    )


def _listed(guard: Guard, rule: str, owner: Owner, asked: Asked) -> Line:
    listed = getattr(guard, rule)
    return Line(
        rule=rule,
        owner=owner,
        kind="listed",
        on=listed.mode == "enforce",
        scope=rule,
        subject=(asked.number.e164,),
        figures={"level": listed.then},
    )


# What is counted besides sends.


def after_failure(guard: Guard, asked: Asked) -> list[Line]:
    """List what a wrong code is counted for."""
    number = (asked.number.e164, asked.known)
    return _asked_for(
        guard,
        _budget(guard, "guessing", "service", "guesses", ()),
        _budget(guard, "failures", "destination", "number", number, private=True),
    )


def after_refused_proof(guard: Guard, asked: Asked) -> list[Line]:
    """List what a human check is counted for that a vendor did not take: as a message of the address."""
    return _asked_for(guard, *_of_address(guard, asked))


def after_success(guard: Guard, asked: Asked, sent_at: int) -> list[Line]:
    """List what a right code is counted for: the conversion of when its challenge was sent; failures are forgiven."""
    number = (asked.number.e164, asked.known)
    forgiven = Line(
        rule="failures", owner="destination", kind="clear", scope="number", subject=number, private=True
    )
    return _asked_for(guard, *_converting(guard, asked, "v", sent_at), forgiven)


def after_sending(guard: Guard, asked: Asked, sent_at: int | None, cost: float) -> list[Line]:
    """List what a message that an upstream took is counted for: once a challenge's conversion, and its cost."""
    money = _money(guard, asked, cost)
    return _asked_for(guard, *_converting(guard, asked, "s", sent_at), *([money] if money.cost else []))


def _asked_for(guard: Guard, *lines: Line) -> list[Line]:
    return [line for line in lines if getattr(guard, line.rule).mode != "off"]


def _converting(guard: Guard, asked: Asked, add: str, sent_at: int | None) -> list[Line]:
    if sent_at is None:
        return []
    places = (("country-codes", (asked.number.country, asked.known)), ("prefix", (asked.prefix, asked.known)))
    return [_share(guard.conversion, *place, add=add, moment=sent_at) for place in places]


def subscriber(address: str) -> str:
    """Give what stands for one subscriber: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_SUBSCRIBER), strict=False))
    return str(parsed)


# What was decided.


def in_units(rule: str, counted: float) -> float:
    """Convert a counter's value to the unit in which its limits are written."""
    return counted / Money.unit if rule == "money" else counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A line that tripped: `value` of `limit` within `seconds`, for `pause` milliseconds more; `on` if it counts.

    `over` is how far it is over its threshold, as a share of that, which says how heavy a human check must be.
    """

    rule: str
    level: str
    value: float
    limit: float
    seconds: float
    pause: int
    over: float
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the guard says of a send: allow, cheap, human_check, spent (the proof was used before) or refuse."""

    verdict: Literal["allow", "cheap", "human_check", "spent", "refuse"]
    now: int
    findings: tuple[Finding, ...] = ()
    standing: Standing | None = None

    @property
    def deciding(self) -> Finding:
        """Give the finding that a refusal is told for: what nobody can wait out first, else what lasts longest."""
        asking = [one for one in self.findings if one.on and one.level in _DECIDING.get(self.verdict, ())]
        return min(asking, key=lambda one: (one.pause > 0, -one.pause))

    def tripped(self, rule: str) -> bool:
        """Say whether a rule that counts has tripped."""
        return any(one.on and one.rule == rule for one in self.findings)

    @property
    def over(self) -> float:
        """Give how far the counters that ask for a human check are over their thresholds, as a share of them."""
        return max((one.over for one in self.findings if one.on and one.level == "human_check"), default=0.0)


_DECIDING = {"refuse": ("refuse", "cheap"), "human_check": ("human_check",), "spent": ("human_check",)}
