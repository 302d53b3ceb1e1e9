"""The rules: one send becomes a list of lines, one for each rule that applies.

Pure. Must not know where counters are stored. A line says what is counted, whose counter it is, and what happens
beyond a threshold. The limiter judges all lines at once and charges all or none, so a refused send uses up no budget.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from otp_service import phone
from otp_service.challenge.model import Challenge
from otp_service.guard import lines
from otp_service.guard.lines import Line
from otp_service.guard.networks import place_of, subscriber, wider_networks
from otp_service.phone import Number
from otp_service.policy import Budget, Guard
from otp_service.policy.limits import Figures

LINE_DIGITS = 4
"""Last digits of a number, through which SMS pumping counts. The rest of the number is its prefix."""
Known = Literal["", "server", "session", "returning", "device", "vouched"]
"""The kind of a caller: a stranger on a page (""), a server that names no session, a session that a server names, a
session that verified this number before, a device that did, or a caller whose other factor a server vouches for. Each
kind has counters of its own, so that none uses up what another may do. A server also names sessions of strangers."""
FAMILIARITY: tuple[Known, ...] = ("", "server", "session", "returning", "device", "vouched")
OWNERS: frozenset[Known] = frozenset({"returning", "device", "vouched"})
"""The kinds that are likely to be the number's owner: shares of common budgets are reserved for them, and a code that
they type reopens what wrong codes in a row have closed."""
TRUSTED: frozenset[Known] = frozenset({"device", "vouched"})
"""The kinds that are asked for no human check."""


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
    def counter(self) -> tuple[str, str]:
        """The number and the kind of the caller, which has counters of its own."""
        return self.number.e164, self.known

    @property
    def prefix(self) -> tuple[str, str]:
        """The number without its last digits, through which SMS pumping counts, and the kind of the caller."""
        return self.number.e164[:-LINE_DIGITS], self.known

    @property
    def country(self) -> tuple[str, str]:
        """The number's country, and the kind of the caller."""
        return self.number.country, self.known

    @property
    def place(self) -> str:
        """The network from which the message is requested, or the session; empty if a server names neither."""
        return self.session if self.address is None else place_of(self.address)


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

    No pause between messages applies; conversion and standing count only the first message of a challenge. What
    trickles through beyond a limit is for those who ask.
    """
    return [_without_trickle(line) for line in lines_of_send(guard, asked) if line.rule not in _OF_FIRST]


_OF_FIRST = frozenset({"cooldown", "consecutive", "conversion", "standing"})


def _without_trickle(line: Line) -> Line:
    if "trickle" not in line.figures:
        return line
    without = Figures({name: line.figures[name] for name in line.figures if name != "trickle"})
    return line._replace(figures=without)


def limits_of(rules: Guard, found: Iterable[Line]) -> Iterator[dict[str, Any]]:
    """Describe the rules of some lines, and their limits."""
    for rule_name in dict.fromkeys(line.rule for line in found):
        rule = getattr(rules, rule_name)
        tiers = rule.tiers() if isinstance(rule, Budget) else ()
        limits = [f"{window.limit} in {window.seconds} s: {level}" for level, window in tiers]
        yield {"rule": rule_name, "mode": rule.mode, "limits": limits}


def _all(guard: Guard, asked: GuardedSend) -> Iterator[Line]:
    yield from fixed_lines(guard, asked.number)
    yield from _of_address(guard, asked)
    if asked.session:
        subject = (asked.app, asked.session)
        yield lines.budget("session", guard.session, "caller", "session", subject, private=True)
    yield _common(guard, "app", (asked.app,), asked)
    yield _money(guard, asked, guard.money.price(asked.channel, asked.number.country))
    yield _common(guard, "everything", (), asked)
    yield lines.budget("guessing", guard.guessing, "service", "guesses", cost=0)
    yield from _of_places(guard, asked)
    yield lines.listed("suppression", guard.suppression, "person", asked.number.e164)
    if asked.purpose in guard.recycled.purposes:
        yield lines.listed("recycled", guard.recycled, "destination", asked.number.e164)
    yield from _of_number(guard, asked)


def fixed_lines(guard: Guard, number: Number) -> Iterator[Line]:
    """List what is refused to a number's country and kind, whoever asks and however often."""
    if not guard.countries.has(number.place):
        yield lines.fixed("countries", guard.countries.mode)
    if number.type in guard.number_types.refuse:
        yield lines.fixed("number_types", guard.number_types.mode)


UNKNOWN_NUMBER = lines.fixed("number_types", "enforce")
"""The line of a number that the metadata does not know."""


def _of_address(guard: Guard, asked: GuardedSend) -> Iterator[Line]:
    """List the lines of the caller's address: of one subscriber, and of the wider IPv6 networks that one may have."""
    if asked.address is None:
        return
    for network, times in ((subscriber(asked.address), 1), *wider_networks(asked.address)):
        figures = guard.address.figures if times == 1 else guard.address.multiplied(times)
        subject = (network, asked.known)
        yield lines.budget(
            "address", guard.address, "caller", "address", subject, private=True, figures=figures
        )


def _of_places(guard: Guard, asked: GuardedSend) -> Iterator[Line]:
    """List the lines of the number's country and prefix."""
    yield _common(guard, "country", asked.country, asked)
    yield _unproven(guard, asked)
    yield lines.share(guard.conversion, "country-codes", asked.country)
    yield lines.share(guard.conversion, "prefix", asked.prefix)
    yield _prefix(guard, asked)


def _of_number(guard: Guard, asked: GuardedSend) -> Iterator[Line]:
    yield lines.budget(
        "failures",
        guard.failures,
        "destination",
        "number",
        asked.counter,
        cost=0,
        private=True,
        place=asked.place,
    )
    if asked.known == "vouched":
        yield from _reopened(asked, FAMILIARITY)
    else:
        yield lines.streak(guard.consecutive, asked.counter)
    yield lines.ladder(guard.cooldown, asked.counter)
    yield lines.budget(
        "number", guard.number, "destination", "number", asked.counter, private=True, place=asked.place
    )
    if asked.known == "device":
        yield lines.of_number("standing", "standing", asked.counter, limits=guard.standing)


_SCOPES = {"app": "app", "everything": "all", "country": "country"}


def _common(guard: Guard, rule: str, subject: tuple[str, ...], asked: GuardedSend) -> Line:
    """Make the line of a budget that many share. A part of it is reserved for those who are likely to be owners."""
    limits: Budget = getattr(guard, rule)
    figures = limits.figures if asked.known in OWNERS else limits.unreserved
    owner: lines.Owner = "destination" if rule == "country" else "service"
    return lines.budget(rule, limits, owner, _SCOPES[rule], subject, figures=figures)


def _unproven(guard: Guard, asked: GuardedSend) -> Line:
    subject = (asked.app, asked.number.country, asked.known)
    return lines.budget("unproven", guard.unproven, "destination", "unproven", subject)


def _prefix(guard: Guard, asked: GuardedSend) -> Line:
    return lines.budget("prefix", guard.prefix, "destination", "prefix", asked.prefix, private=True)


def _money(guard: Guard, asked: GuardedSend, amount: float) -> Line:
    cost = round(amount * guard.money.unit)
    return lines.budget("money", guard.money, "service", "app", (asked.app,), cost=cost)


def _reopened(asked: GuardedSend, kinds: Iterable[Known]) -> Iterator[Line]:
    """List the lines that forget the wrong codes in a row of some kinds of callers."""
    for known in kinds:
        yield lines.of_number("consecutive", "clear", (asked.number.e164, known), scope="streak")


# What is counted apart from sends.


def after_failure(guard: Guard, asked: GuardedSend) -> list[Line]:
    """List the lines that count a wrong code."""
    return _asked_for(
        guard,
        lines.budget("guessing", guard.guessing, "service", "guesses"),
        lines.budget("failures", guard.failures, "destination", "number", asked.counter, private=True),
        lines.streak(guard.consecutive, asked.counter, cost=1),
    )


def after_refused_proof(guard: Guard, asked: GuardedSend) -> list[Line]:
    """List the lines that count a human check that a vendor rejected: it counts as a message of the address."""
    return _asked_for(guard, *_of_address(guard, asked))


def after_success(guard: Guard, asked: GuardedSend, sent_at: Sequence[int]) -> list[Line]:
    """List the lines that count a right code; `sent_at` is when each message of its challenge was sent, in order.

    It counts for conversion, at the time of the first message, and its messages are no longer unproven. The next send
    of the same kind of caller meets no pause and no failures of the time before (NIST SP 800-63B-4 3.2.2).
    """
    kinds = FAMILIARITY if asked.known in OWNERS else (asked.known,)
    forgiven = [lines.of_number(rule, "clear", asked.counter) for rule in ("failures", "cooldown")]
    forgiven.append(lines.of_number("standing", "clear", (asked.number.e164, "device")))
    if asked.place:
        forgiven.append(lines.of_number("number", "met", asked.counter, place=asked.place))
    return _asked_for(
        guard,
        *_converting(guard, asked, "v", sent_at[0]),
        lines.proven(_unproven(guard, asked), sent_at),
        lines.proven(_prefix(guard, asked), sent_at),
        *forgiven,
        *_reopened(asked, kinds),
    )


def after_sending(guard: Guard, asked: GuardedSend, sent_at: int | None, cost: float) -> list[Line]:
    """List the lines that count an accepted message: its cost and, once for each challenge, conversion."""
    money = _money(guard, asked, cost)
    return _asked_for(guard, *_converting(guard, asked, "s", sent_at), *([money] if money.cost else []))


def _asked_for(guard: Guard, *found: Line) -> list[Line]:
    return [line for line in found if getattr(guard, line.rule).mode != "off"]


def _converting(guard: Guard, asked: GuardedSend, add: str, sent_at: int | None) -> list[Line]:
    if sent_at is None:
        return []
    places = (("country-codes", asked.country), ("prefix", asked.prefix))
    return [lines.share(guard.conversion, *place, add=add, moment=sent_at) for place in places]
