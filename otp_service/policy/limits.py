"""The guard's rules as values: what may be sent, how often, and what happens beyond a limit.

Pure. Must not know how rules are written, counted or explained. Every number is a setting. The defaults are starting
values; docs/security.md names the source of most of them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar, Literal

from otp_service.durations import DAY, HOUR, MINUTE
from otp_service.phone import NETWORKS

Mode = Literal["enforce", "watch", "off"]
Level = Literal["human_check", "cheap", "refuse"]
LEVELS: tuple[Level, ...] = ("human_check", "cheap", "refuse")
"""What a rule may require, from mild to strict: a human check, cheap channels only, or no message at all."""
NEVER = ("pager", "personal_number", "premium_rate", "shared_cost", "toll_free", "uan", "voicemail")
PAUSE = 45 * MINUTE
"""The window of what trickles through: under an hour with its last part and the random part of a browser's wait."""
RESERVED = 0.2
"""The share of common budgets that is kept for known callers."""
MOST_TIERS = 8
"""Limits of one budget: each is a sum over a window at every send."""
EVERYWHERE = "*"
"""Stands for all countries."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` within any `seconds`."""

    limit: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The base of every rule. `watch` counts and reports, but refuses nothing. `of` names the app that owns it."""

    mode: Mode = "enforce"
    of: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Countries(Rule):
    """The countries to which messages may go (ISO 3166 alpha-2). An empty list allows none."""

    allow: tuple[str, ...] = ()

    def has(self, place: str) -> bool:
        """Tell whether messages may go to this country or network. Networks belong to no country and need naming."""
        return place in self.allow or (EVERYWHERE in self.allow and place not in NETWORKS)

    def reaches(self, place: str) -> bool:
        """Tell whether messages can go there: it is allowed, or this rule refuses nothing."""
        return self.mode != "enforce" or self.has(place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Types(Rule):
    """The types of numbers that get no message, in the words of the phonenumbers library."""

    refuse: tuple[str, ...] = NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooldown(Rule):
    """The pauses between messages to one number, in seconds. After `forget` without a message they start again."""

    ladder: tuple[int, ...] = (30, 60, 120)
    forget: int = 10 * MINUTE


class Figures(dict[str, Any]):
    """The figures of a rule, which do not change, as the guard's script reads them."""

    @cached_property
    def written(self) -> str:
        """The members of a JSON object with these figures. Made once, because every send carries them."""
        return json.dumps(self, separators=(",", ":"))[1:-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget(Rule):
    """How many acts a subject may cause, for each level. A refusal lasts for at least `hold` seconds."""

    human_check: tuple[Window, ...] = ()
    cheap: tuple[Window, ...] = ()
    refuse: tuple[Window, ...] = ()
    hold: int = 0
    trickle: tuple[Window, ...] = ()
    """What still leaves beyond a `refuse` with a longer window, after a human check; for a number and its failures only
    if it is requested from a network that had no message to it in the last day."""
    reserved: float = 0.0
    """The share of each `refuse` that only known callers may use."""
    ratio: float = 0.0
    """Each limit is at least so many for each message that was verified in its window."""
    unit: ClassVar[int] = 1
    """Counters are whole numbers: they count in this many parts of the unit of `limit`."""
    figures: Figures = field(init=False, repr=False, compare=False)
    """The windows as counters need them, in parts and milliseconds. Made once, because every send uses them."""
    unreserved: Figures = field(init=False, repr=False, compare=False)
    """The same without the reserved share."""

    def __post_init__(self) -> None:
        """Compute the figures."""
        tiers = [(level, window.limit * self.unit, window.seconds * 1000) for level, window in self.tiers()]
        figures = Figures(tiers=tiers, hold=self.hold * 1000)
        if self.trickle:
            figures["trickle"] = [self.trickle[0].limit, self.trickle[0].seconds * 1000]
        if self.ratio:
            figures["ratio"] = self.ratio
        rest = [
            (level, limit - int(limit * self.reserved) if level == "refuse" else limit, ms)
            for level, limit, ms in tiers
        ]
        object.__setattr__(self, "figures", figures)
        object.__setattr__(self, "unreserved", Figures(figures | {"tiers": rest}))

    def multiplied(self, times: int) -> Figures:
        """Return the figures for a subject that may do so many times as much."""
        tiers = [[level, limit * times, ms] for level, limit, ms in self.figures["tiers"]]
        return Figures(self.figures | {"tiers": tiers})

    def tiers(self) -> Iterator[tuple[Level, Window]]:
        """Yield each window with the level that it requires when it is full."""
        for level in LEVELS:
            for window in getattr(self, level):
                yield level, window


@dataclass(frozen=True, slots=True, kw_only=True)
class Money(Budget):
    """What an app's messages may cost, in the upstream's own unit. `limit` of a window is such an amount.

    `prices` are by channel, `country_prices` by country and channel. They hold until the upstream reports a charge.
    """

    unit: ClassVar[int] = 10_000
    prices: Mapping[str, float] = field(default_factory=dict)
    country_prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def price(self, channel: str, country: str) -> float:
        """Return the expected cost of a message."""
        usual = self.prices.get(channel, 1.0)
        return self.country_prices.get(country, {}).get(channel, usual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guessing(Budget):
    """Wrong codes over all numbers. While there are too many, new codes have `code_length` digits."""

    code_length: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionRule(Rule):
    """Stops a country or a prefix where codes are sent but not verified: below `share` of at least `sends`.

    The rule judges the challenges of the last `within` seconds, except the newest `grace` seconds, whose codes may
    still be on their way. Of those newest challenges, only as many go out without a human check as were verified in
    `within`, or `sends` if that is more.

    A stop lasts `hold` seconds, doubled each time up to `longest`. After it, only `probes` messages go out until they
    are judged. During a stop, `country` and `prefix` are the levels that apply. For a country it is a human check by
    default, so that a stranger cannot close a country to everyone.
    """

    share: float = 0.2
    sends: int = 50
    probes: int = 10
    within: int = 15 * MINUTE
    grace: int = MINUTE
    hold: int = 15 * MINUTE
    longest: int = HOUR
    country: Level = "human_check"
    prefix: Level = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consecutive(Rule):
    """Wrong codes for one number in a row, in no window. `most` of them close the number to this kind of caller.

    Each makes the pause before the next send `step` seconds longer, up to `longest`. A right code of the same kind of
    caller starts again from none. A kind that is closed is reopened by a right code of a known session or device, by
    an operator, or by a server that vouches for another factor.
    """

    most: int = 100
    step: int = 5
    longest: int = HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStanding(Rule):
    """How many sends in a row a known device may leave unverified. Beyond, it is treated as a stranger."""

    unverified: int = 3

    def holds(self, unverified: int) -> bool:
        """Tell whether a device with so many sends that were not verified is still known."""
        return self.mode != "enforce" or unverified < self.unverified


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Rule):
    """A list of numbers. `then` is the level that applies to a number on it, for these `purposes`."""

    then: Level = "refuse"
    purposes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanRules:
    """The kind of human check. `url` and `site_key` are those of a CAPTCHA vendor, for `siteverify` only."""

    kind: Literal["altcha", "siteverify"] = "altcha"
    url: str = ""
    site_key: str = ""

    def of_vendor(self) -> dict[str, Any]:
        """Return what a page needs to show the vendor's widget."""
        return {"kind": self.kind, "site_key": self.site_key}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """All rules, in the order in which they decide: from what the caller owns to what a victim owns."""

    countries: Countries = Countries()
    number_types: Types = Types()
    address: Budget = Budget(
        human_check=(Window(6, 10 * MINUTE),),
        refuse=(Window(10, MINUTE), Window(60, HOUR), Window(200, DAY)),
        hold=HOUR,
    )
    session: Budget = Budget(refuse=(Window(5, 10 * MINUTE), Window(20, DAY)))
    app: Budget = Budget(refuse=(Window(5_000, HOUR), Window(50_000, DAY)), reserved=RESERVED)
    money: Money = Money(refuse=(Window(5_000, HOUR), Window(50_000, DAY)))
    everything: Budget = Budget(refuse=(Window(10_000, HOUR), Window(100_000, DAY)), reserved=RESERVED)
    guessing: Guessing = Guessing(human_check=(Window(2_000, HOUR),))
    country: Budget = Budget(
        refuse=(Window(3_000, HOUR), Window(20_000, DAY)), trickle=(Window(150, PAUSE),), reserved=RESERVED
    )
    unproven: Budget = Budget(
        refuse=(Window(100, HOUR), Window(300, DAY)), trickle=(Window(20, PAUSE),), ratio=2.0
    )
    conversion: ConversionRule = ConversionRule()
    prefix: Budget = Budget(
        human_check=(Window(10, HOUR),),
        refuse=(Window(20, HOUR), Window(40, DAY)),
        trickle=(Window(5, PAUSE),),
    )
    suppression: Listed = Listed()
    recycled: Listed = Listed(purposes=("login",))
    failures: Budget = Budget(refuse=(Window(10, HOUR), Window(30, DAY)), trickle=(Window(1, PAUSE),))
    consecutive: Consecutive = Consecutive()
    cooldown: Cooldown = Cooldown()
    number: Budget = Budget(
        refuse=(Window(3, 10 * MINUTE), Window(5, HOUR), Window(10, DAY)), trickle=(Window(1, PAUSE),)
    )
    standing: DeviceStanding = DeviceStanding()
    human_check: HumanRules = field(default_factory=HumanRules)
    cheap_channels: tuple[str, ...] = ("whatsapp", "rcs")

    def rules(self) -> dict[str, Rule]:
        """Return all rules by name, in order."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: rule for name, rule in found.items() if isinstance(rule, Rule)}


RULES = tuple(Guard().rules())
"""The names of all rules."""
