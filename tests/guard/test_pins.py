"""The guard's pins on a real server: which one decides, and what it lets pass."""

import pytest

from otp_service.errors import Invalid
from otp_service.guard.pins import PinStore
from otp_service.guard.rules import after_failure
from otp_service.store.facts import Facts
from tests.support.counters import ADDRESS, NUMBER, OTHER, SMALL, Counters, asked, only, passes


@pytest.mark.parametrize(
    ("pins", "verdict"),
    [
        ({"+1": "refuse"}, "refuse"),
        ({"+1415": "allow", "+1": "refuse"}, "allow"),
        ({"+1415": "refuse", "+1": "allow"}, "refuse"),
        ({"+141": "allow", "+1415": "refuse"}, "refuse"),
        ({NUMBER: "allow", "+1415": "refuse", "+1": "refuse"}, "allow"),
        ({NUMBER: "refuse", "+1415": "allow"}, "refuse"),
        ({"+44": "refuse", "+1416": "refuse", OTHER: "refuse"}, "allow"),
    ],
)
def test_the_most_exact_pin_decides(counters: Counters, pins: dict[str, str], verdict: str) -> None:
    """A number before its prefixes, and longer prefixes before shorter ones."""
    for name, what in pins.items():
        named = counters.pin_of_number(name) if len(name) > 6 else f"prefix {name}"
        counters.pins.write(named, {"what": what})
    assert counters.charge(only(), asked()).verdict == verdict


def test_the_number_of_pins_is_bounded(counters: Counters) -> None:
    """Whoever may list them reads them all. A pin that has ended makes room; one that is written again needs none."""
    pins = PinStore(counters.scripts, prefix=counters.prefix, most=2)
    now = Facts(counters.scripts, prefix=counters.prefix).time()
    pins.write("prefix +44", {"what": "allow", "until": now + 60_000})
    pins.write("prefix +45", {"what": "allow"})
    pins.write("prefix +44", {"what": "refuse", "until": now + 60_000})
    with pytest.raises(Invalid) as caught:
        pins.write("prefix +46", {"what": "allow"})
    [(field, rule)] = caught.value.rules()
    assert field == "subject"
    assert "at most 2 pins; remove others first" in rule
    assert pins.read_all().keys() == {"prefix +44", "prefix +45"}
    counters.scripts.offset += 60_001
    pins.write("prefix +46", {"what": "allow"})
    assert pins.read_all().keys() == {"prefix +45", "prefix +46"}


@pytest.mark.parametrize("rule", ["country", "prefix", "number", "cooldown", "failures"])
def test_an_allowed_number_passes_the_limits_of_destinations(counters: Counters, rule: str) -> None:
    """Limits, countries and types. It is still counted."""
    rules = only({rule: {} if rule == "cooldown" else SMALL, "countries": {"allow": ["GB"]}})
    counters.pins.write(counters.pin_of_number(NUMBER), {"what": "allow"})
    for _ in range(3):
        counters.limiter.count(after_failure(rules, asked()))
        assert counters.charge(rules, asked()).verdict == "allow"
    assert counters.pins.remove(counters.pin_of_number(NUMBER))
    assert rule in {one.rule for one in counters.preview(rules, asked()).findings}


@pytest.mark.parametrize("rule", ["app", "money", "everything", "address", "session"])
def test_an_allowed_number_does_not_pass_other_limits(counters: Counters, rule: str) -> None:
    """The service's money, and the caller's own budget."""
    rules, who = only({rule: SMALL}), asked(session="s", known="session")
    counters.pins.write(counters.pin_of_number(NUMBER), {"what": "allow"})
    assert counters.charge(rules, who).verdict == "allow"
    assert counters.charge(rules, who).deciding.rule == rule


@pytest.mark.parametrize("pin", [f"address {ADDRESS}", "number"])
def test_a_pin_does_not_override_a_stop(counters: Counters, pin: str) -> None:
    """A person who answered STOP gets no message."""
    key = f"{{{counters.prefix}:guard}}:x:{counters.seal.index('suppressed', NUMBER)}"
    counters.scripts.call("put", [key], "{}", 60_000)
    counters.pins.write(counters.pin_of_number(NUMBER) if pin == "number" else pin, {"what": "allow"})
    assert counters.charge(only({"suppression": {}}), asked()).deciding.rule == "suppression"


def test_pins_of_addresses_apply_to_the_limits_of_callers(counters: Counters) -> None:
    """An allowed address passes its own budget only; a refused one gets nothing; an IPv6 one is its network."""
    rules = only({"address": SMALL, "number": {"refuse": ["3/h"]}})
    counters.pins.write(f"address {ADDRESS}", {"what": "allow"})
    assert [passes(counters.charge(rules, asked())) for _ in range(4)] == [True, True, True, False]
    counters.pins.write("address 2001:db8::/64", {"what": "refuse"})
    assert counters.charge(only(), asked(address="2001:db8::7")).deciding.rule == "pin_caller"
    assert counters.charge(only(), asked(address="2001:db9::7")).verdict == "allow"


def test_pins_end(counters: Counters) -> None:
    """At their `until`. The next less exact pin decides then."""
    now = counters.preview(only(), asked()).now
    counters.pins.write(counters.pin_of_number(NUMBER), {"what": "refuse", "until": now + 60_000})
    assert counters.charge(only(), asked()).deciding.rule == "pin_destination"
    counters.pins.write("prefix +1", {"what": "allow"})
    assert counters.charge(only(), asked()).verdict == "refuse"
    counters.scripts.offset += 60_001
    assert counters.charge(only(), asked()).verdict == "allow"
    assert set(counters.pins.read_all()) == {counters.pin_of_number(NUMBER), "prefix +1"}
    assert counters.pins.remove("prefix +1")
    assert not counters.pins.remove("prefix +1")


def test_a_pin_that_already_has_the_new_name_stays(counters: Counters) -> None:
    """Key rotation renames an older pin, and must not undo a newer order of an operator."""
    older, newer = {"what": "allow"}, {"what": "refuse"}
    counters.pins.write("number old", older)
    counters.pins.write("number new", newer)
    assert counters.pins.rename("number old", older, "number new", {**older, "under": "l2"})
    assert counters.pins.read_all() == {"number new": newer}
