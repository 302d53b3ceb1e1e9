"""The guard's rules as values: what may be sent at all, how often, and what follows when it is too often.

Pure. Must not know how they are written, counted or explained. Every figure is a setting; the defaults are starting
values, most of them from the sources named in docs/security.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from otp_service.durations import DAY, HOUR, MINUTE

Mode = Literal["enforce", "watch", "off"]
Level = Literal["human_check", "cheap", "refuse"]
LEVELS: tuple[Level, ...] = ("human_check", "cheap", "refuse")
"""What a rule may ask for, with growing caution: a human check, only cheap channels, nothing at all."""
NEVER = ("pager", "personal_number", "premium_rate", "shared_cost", "toll_free", "uan", "voicemail")
EVERYWHERE = "*"
"""In place of countries: all of them."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` within any `seconds`."""

    limit: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What every rule has: `watch` counts and reports but refuses nothing; `of` names the app whose own it is."""

    mode: Mode = "enforce"
    of: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Countries(Rule):
    """Where messages may go (ISO 3166 alpha-2); nowhere unless it is named."""

    allow: tuple[str, ...] = ()

    def has(self, country: str) -> bool:
        """Say whether messages may go to this country."""
        return country in self.allow or EVERYWHERE in self.allow


@dataclass(frozen=True, slots=True, kw_only=True)
class Types(Rule):
    """Which types of numbers get nothing (phonenumbers' words)."""

    refuse: tuple[str, ...] = NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooldown(Rule):
    """Seconds between two messages to a number, growing along the ladder; forgotten after `forget` without one."""

    ladder: tuple[int, ...] = (30, 60, 120)
    forget: int = 10 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget(Rule):
    """How many acts a subject may cause, by what follows when there are more; `hold` is how long a refusal lasts."""

    human_check: tuple[Window, ...] = ()
    cheap: tuple[Window, ...] = ()
    refuse: tuple[Window, ...] = ()
    hold: int = 0
    unit: ClassVar[int] = 1
    """Parts in which counters hold what `limit` is written in: they are whole numbers."""
    figures: Mapping[str, Any] = field(init=False, repr=False, compare=False)
    """The windows as counters read them, in units and milliseconds: made once, as every send asks for them."""

    def __post_init__(self) -> None:
        """Make the figures."""
        tiers = [[level, window.limit * self.unit, window.seconds * 1000] for level, window in self.tiers()]
        object.__setattr__(self, "figures", {"tiers": tiers, "hold": self.hold * 1000})

    def tiers(self) -> Iterator[tuple[Level, Window]]:
        """Give each window with what follows when it is full."""
        for level in LEVELS:
            for window in getattr(self, level):
                yield level, window


@dataclass(frozen=True, slots=True, kw_only=True)
class Money(Budget):
    """What an app's messages may cost, in the upstream's own unit; `limit` of a window is such an amount.

    `prices` are by channel and `country_prices` by country and channel, for what no upstream has reported yet.
    """

    unit: ClassVar[int] = 10_000
    prices: Mapping[str, float] = field(default_factory=dict)
    country_prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def price(self, channel: str, country: str) -> float:
        """Give what a message is thought to cost."""
        usual = self.prices.get(channel, 1.0)
        return self.country_prices.get(country, {}).get(channel, usual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guessing(Budget):
    """Failed guesses over all numbers; while there are too many, new codes have `code_length` digits."""

    code_length: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionRule(Rule):
    """Stops where codes go out and do not come back: verified / sent below `share`, at `sends` or more.

    After a stop `probes` may leave, and no more until they are judged. Who sends to a country that is stopped gets
    what `country` says, to a prefix what `prefix` says: a stranger must not be able to close a country to strangers.

    Judged are the challenges of the last `within` seconds but for the newest `grace`, as their codes may still be
    on the way; of those no more leave without a human check than came back within `within`, or than `sends`.
    `hold` is how long it stops at first, doubled each time up to `longest`.
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
class Listed(Rule):
    """Whether a list counts, and what follows for a number on it."""

    then: Level = "refuse"
    purposes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanRules:
    """Which check is asked for. `url` and `site_key` are those of a CAPTCHA vendor, for `siteverify` only."""

    kind: Literal["altcha", "siteverify"] = "altcha"
    url: str = ""
    site_key: str = ""

    def of_vendor(self) -> dict[str, Any]:
        """Give what a page needs to show the vendor's widget."""
        return {"kind": self.kind, "site_key": self.site_key}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """All rules, in the order in which they are asked: from what the caller owns to what a victim owns."""

    countries: Countries = Countries()
    number_types: Types = Types()
    address: Budget = Budget(
        human_check=(Window(6, 10 * MINUTE),),
        refuse=(Window(10, MINUTE), Window(60, HOUR), Window(200, DAY)),
        hold=HOUR,
    )
    session: Budget = Budget(refuse=(Window(5, 10 * MINUTE), Window(20, DAY)))
    app: Budget = Budget(refuse=(Window(5_000, HOUR), Window(50_000, DAY)))
    money: Money = Money(refuse=(Window(5_000, HOUR), Window(50_000, DAY)))
    everything: Budget = Budget(refuse=(Window(10_000, HOUR), Window(100_000, DAY)))
    guessing: Guessing = Guessing(human_check=(Window(2_000, HOUR),))
    country: Budget = Budget(refuse=(Window(3_000, HOUR), Window(20_000, DAY)))
    conversion: ConversionRule = ConversionRule()
    prefix: Budget = Budget(human_check=(Window(10, HOUR),), refuse=(Window(20, HOUR), Window(40, DAY)))
    suppression: Listed = Listed()
    recycled: Listed = Listed(purposes=("login",))
    failures: Budget = Budget(refuse=(Window(10, HOUR), Window(30, DAY)))
    cooldown: Cooldown = Cooldown()
    number: Budget = Budget(refuse=(Window(3, 10 * MINUTE), Window(5, HOUR), Window(10, DAY)))
    human_check: HumanRules = field(default_factory=HumanRules)
    cheap_channels: tuple[str, ...] = ("whatsapp", "rcs")

    def rules(self) -> dict[str, Rule]:
        """Give every rule by its name, in order."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: rule for name, rule in found.items() if isinstance(rule, Rule)}


RULES = tuple(Guard().rules())
"""The names of all rules."""
