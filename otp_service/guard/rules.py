"""The rules: one send becomes a list of lines, one for each rule that applies.

Pure. Must not know where counters are stored. A line says what is counted, whose counter it is, and what happens
beyond a threshold. The limiter judges all lines at once and charges all or none, so a refused send uses up no budget.
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
"""Bits of an IPv6 address that identify one subscriber (RFC 6177)."""
LINE_DIGITS = 4
"""Last digits of a number, through which SMS pumping counts. The rest of the number is its prefix."""
Known = Literal["", "session", "returning", "device"]
"""How well a caller is known: a stranger (""), a session that a server names, a session that verified this number
before, or a device that did. Each has its own budget of a number, as a server also names sessions of strangers."""
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
"""The first letter of the fields in each rule's counters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedSend:
    """What the guard knows about one send.

    `address` is None if a server names none. `channel` is that of the first step.
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
        """The number without its last digits, through which SMS pumping counts."""
        return self.number.e164[:-LINE_DIGITS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one rule says about one send. `scope` and `subject` name the counter; times in `figures` are milliseconds.

    `of` names the app whose own rule this is, if any: a hold then applies to that app only. If `private` is set, the
    subject is a person's, and the store alone must not reveal it.
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
    """Read a stored word that says how well a caller is known. An unknown word is a stranger."""
    return next((known for known in FAMILIARITY if known == word), "")


def asked_of(challenge: Challenge, e164: str) -> GuardedSend:
    """Return what is known about the send that started a challenge, for counts that follow later."""
    number = phone.Number(e164, phone.country_of(e164), "")
    return GuardedSend(
        number=number, app=challenge.app, purpose=challenge.purpose, known=known_as(challenge.known)
    )


def lines_of_send(guard: Guard, asked: GuardedSend) -> list[Line]:
    """List the lines of a send: what the caller owns before what a victim owns."""
    return _asked_for(guard, *_all(guard, asked))


def lines_of_fallback(guard: Guard, asked: GuardedSend) -> list[Line]:
    """List the lines of a message that the service sends by itself.

    No cooldown applies, and conversion counts only the first message of a challenge.
    """
    return [line for line in lines_of_send(guard, asked) if line.rule not in {"cooldown", "conversion"}]


def limits_of(rules: Guard, lines: Iterable[Line]) -> Iterator[dict[str, Any]]:
    """Describe the rules of some lines, and their limits."""
    for line in lines:
        rule = getattr(rules, line.rule)
        tiers = rule.tiers() if isinstance(rule, Budget) else ()
        limits = [f"{window.limit} in {window.seconds} s: {level}" for level, window in tiers]
        yield {"rule": line.rule, "mode": rule.mode, "limits": limits}


def _all(guard: Guard, asked: GuardedSend) -> Iterator[Line]:
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


def _fixed(guard: Guard, asked: GuardedSend) -> Iterator[Line]:
    if not guard.countries.has(asked.number.place):
        yield _fixed_line("countries", guard.countries.mode)
    if asked.number.type in guard.number_types.refuse:
        yield _fixed_line("number_types", guard.number_types.mode)


def _fixed_line(rule: str, mode: str) -> Line:
    return Line(
        rule=rule, owner="destination", kind="fixed", on=mode == "enforce", figures={"level": "refuse"}
    )


UNKNOWN_NUMBER = _fixed_line("number_types", "enforce")
"""The line of a number that the metadata does not know."""


def _of_address(guard: Guard, asked: GuardedSend) -> Iterator[Line]:
    if asked.address is not None and asked.known != "device":
        yield _budget(guard, "address", "caller", "address", (subscriber(asked.address),), private=True)


def _of_places(guard: Guard, asked: GuardedSend) -> Iterator[Line]:
    """List the lines of the number's country and prefix."""
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


def _money(guard: Guard, asked: GuardedSend, amount: float) -> Line:
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


def _listed(guard: Guard, rule: str, owner: Owner, asked: GuardedSend) -> Line:
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


# What is counted apart from sends.


def after_failure(guard: Guard, asked: GuardedSend) -> list[Line]:
    """List the lines that count a wrong code."""
    number = (asked.number.e164, asked.known)
    return _asked_for(
        guard,
        _budget(guard, "guessing", "service", "guesses", ()),
        _budget(guard, "failures", "destination", "number", number, private=True),
    )


def after_refused_proof(guard: Guard, asked: GuardedSend) -> list[Line]:
    """List the lines that count a human check that a vendor rejected: it counts as a message of the address."""
    return _asked_for(guard, *_of_address(guard, asked))


def after_success(guard: Guard, asked: GuardedSend, sent_at: int) -> list[Line]:
    """List the lines that count a right code: for conversion, at the time of the send. They also clear failures."""
    number = (asked.number.e164, asked.known)
    forgiven = Line(
        rule="failures", owner="destination", kind="clear", scope="number", subject=number, private=True
    )
    return _asked_for(guard, *_converting(guard, asked, "v", sent_at), forgiven)


def after_sending(guard: Guard, asked: GuardedSend, sent_at: int | None, cost: float) -> list[Line]:
    """List the lines that count an accepted message: its cost and, once for each challenge, conversion."""
    money = _money(guard, asked, cost)
    return _asked_for(guard, *_converting(guard, asked, "s", sent_at), *([money] if money.cost else []))


def _asked_for(guard: Guard, *lines: Line) -> list[Line]:
    return [line for line in lines if getattr(guard, line.rule).mode != "off"]


def _converting(guard: Guard, asked: GuardedSend, add: str, sent_at: int | None) -> list[Line]:
    if sent_at is None:
        return []
    places = (("country-codes", (asked.number.country, asked.known)), ("prefix", (asked.prefix, asked.known)))
    return [_share(guard.conversion, *place, add=add, moment=sent_at) for place in places]


def subscriber(address: str) -> str:
    """Return what identifies one subscriber: an IPv4 address, or an IPv6 network of 64 bits."""
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
    """A line beyond a threshold: `value` of `limit` within `seconds`, for another `pause` milliseconds.

    `on` is False if the rule only watches. `over` is how far the counter is over its threshold, as a share of it: it
    decides how heavy a human check must be.
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
    """The guard's decision about a send. The verdict `spent` means that the proof was used before."""

    verdict: Literal["allow", "cheap", "human_check", "spent", "refuse"]
    now: int
    findings: tuple[Finding, ...] = ()
    standing: Standing | None = None

    @property
    def deciding(self) -> Finding:
        """The finding to report: one that waiting cannot resolve, or else the one that lasts longest."""
        asking = [one for one in self.findings if one.on and one.level in _DECIDING.get(self.verdict, ())]
        return min(asking, key=lambda one: (one.pause > 0, -one.pause))

    def tripped(self, rule: str) -> bool:
        """Tell whether a rule that is enforced has a finding."""
        return any(one.on and one.rule == rule for one in self.findings)

    @property
    def over(self) -> float:
        """How far counters that require a human check are over their thresholds, as a share: the largest."""
        return max((one.over for one in self.findings if one.on and one.level == "human_check"), default=0.0)


_DECIDING = {"refuse": ("refuse", "cheap"), "human_check": ("human_check",), "spent": ("human_check",)}
