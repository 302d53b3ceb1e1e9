"""Which rules have a say in a send, in which order, whose counters they name, and who counts as one."""

import ipaddress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.guard.decision import Decision, Finding
from otp_service.guard.networks import place_of, subscriber, wider_networks
from otp_service.guard.rules import FAMILIARITY, GuardedSend, lines_of_send
from otp_service.phone import parse
from otp_service.policy import RULES, Budget, Guard, Window
from otp_service.policy.limits import Countries
from tests.support.examples import PATIENT

OPEN = Guard(countries=Countries(allow=("US",)))
CALLERS = ("address", "session")
VICTIMS = ("country", "conversion", "prefix", "failures", "cooldown", "number")


def asked(to: str = "+14155552671", **more: Any) -> GuardedSend:  # noqa: ANN401 - those of GuardedSend
    """Give what is known about a send."""
    return GuardedSend(
        **{"number": parse(to), "app": "web", "purpose": "signup", "address": "192.0.2.1", **more}
    )


def rules_of(guard: Guard = OPEN, **more: Any) -> list[str]:  # noqa: ANN401 - as above
    """Name the rules that apply, in order."""
    return [line.rule for line in lines_of_send(guard, asked(**more))]


def test_what_the_caller_owns_comes_before_what_a_victim_owns() -> None:
    """So a refusal names the caller's own limit first. Charging is all or nothing anyway."""
    found = rules_of(session="s")
    assert max(found.index(rule) for rule in CALLERS) < min(found.index(rule) for rule in VICTIMS)


def test_a_server_has_no_address_unless_it_names_one() -> None:
    """The server's own address says nothing about the person."""
    assert "address" in rules_of()
    assert "address" not in rules_of(address=None)


OF_A_KIND = (
    "address",
    "country",
    "unproven",
    "conversion",
    "prefix",
    "failures",
    "consecutive",
    "cooldown",
    "number",
)


@pytest.mark.parametrize("rule", OF_A_KIND)
def test_kinds_of_callers_never_share_a_counter(rule: str) -> None:
    """What strangers use up is not what servers, sessions or devices may do, and the other way round."""
    seen: set[tuple[str, ...]] = set()
    for known in FAMILIARITY:
        found = {(n.scope, *n.subject) for n in lines_of_send(OPEN, asked(known=known)) if n.rule == rule}
        assert found
        assert not found & seen or (rule, known) == ("consecutive", "vouched")
        seen |= found


def test_money_and_stop_apply_to_all() -> None:
    """However well a caller is known."""
    for known in FAMILIARITY:
        assert {"app", "money", "everything", "suppression"} <= set(rules_of(known=known))


def test_an_ipv6_address_is_counted_with_the_networks_that_a_subscriber_may_have() -> None:
    """A /64 as it is, a /56 four times, a /48 sixteen times; IPv4 once, however it is written."""
    guard = replace(OPEN, address=Budget(human_check=(Window(2, 60),), refuse=(Window(3, 60),)))

    def counted(address: str) -> dict[str, list[int]]:
        found = [line for line in lines_of_send(guard, asked(address=address)) if line.rule == "address"]
        return {line.subject[0]: [limit for _, limit, _ in line.figures["tiers"]] for line in found}

    assert counted("2001:db8:7:1234::1") == {
        "2001:db8:7:1234::/64": [2, 3],
        "2001:db8:7:1200::/56": [8, 12],
        "2001:db8:7::/48": [32, 48],
    }
    for written in ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:0:192.0.2.1", "64:ff9b::192.0.2.1"):
        assert counted(written) == {"192.0.2.1": [2, 3]}


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:7:1234::1", "2001:db8:7::/48"),
        (None, "the-session"),
    ],
)
def test_the_place_of_a_caller_is_its_network(address: str | None, place: str) -> None:
    """An IPv4 /24 or an IPv6 /48 is new or known as a whole; without an address its session is."""
    assert asked(address=address, session="the-session").place == place


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_may_be_watched_or_off(rule: str) -> None:
    """A watching rule counts and does not refuse. A rule that is off does not apply."""
    number = parse("+919876543210") if rule == "countries" else parse("+19005550100")
    more: dict[str, Any] = {"number": number, "session": "s", "purpose": "login"}
    for mode in ("enforce", "watch", "off"):
        guard = replace(OPEN, **{rule: replace(getattr(OPEN, rule), mode=mode)})
        more["known"] = "device" if rule == "standing" else ""
        found = [line for line in lines_of_send(guard, replace(asked(), **more)) if line.rule == rule]
        assert bool(found) is (mode != "off")
        assert all(line.on is (mode == "enforce") for line in found)


def test_the_price_of_a_message_is_by_channel_and_country() -> None:
    """In ten thousandths of the upstream's unit. A channel without a price costs one."""
    money = replace(OPEN.money, prices={"sms": 0.05}, country_prices={"US": {"sms": 0.0075}})
    priced = replace(OPEN, money=money)
    costs = [
        next(
            line.cost
            for line in lines_of_send(priced, replace(asked(to), channel=channel))
            if line.rule == "money"
        )
        for to, channel in (("+14155552671", "sms"), ("+447400123456", "sms"), ("+447400123456", "voice"))
    ]
    assert costs == [75, 500, 10_000]


def test_a_refusal_names_what_waiting_cannot_resolve_or_what_lasts_longest() -> None:
    """Rules that only watch decide nothing."""

    def found(rule: str, pause: int, *, on: bool = True, level: str = "refuse") -> Finding:
        return Finding(rule=rule, level=level, value=3, limit=2, seconds=60, pause=pause, over=0.5, on=on)

    short, long, watched = found("number", 1), found("prefix", 9), found("country", 99, on=False)
    soft = found("address", 999, level="human_check")
    decision = Decision(verdict="refuse", now=0, findings=(short, long, watched, soft))
    assert decision.deciding == long
    assert replace(decision, findings=(short, found("countries", 0))).deciding.rule == "countries"
    assert replace(decision, verdict="human_check").deciding == soft
    assert decision.over == 0.5
    assert decision.tripped("number")
    assert not decision.tripped("country")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("192.0.2.1, 198.51.100.1", "unknown"),
        ("192.0.2.01", "unknown"),
        ("localhost", "unknown"),
    ],
)
def test_an_address_identifies_a_subscriber(address: str, expected: str) -> None:
    """IPv4 by address, in any notation; IPv6 by network; everything that is not an address is one subscriber."""
    assert subscriber(address) == expected


@PATIENT
@given(st.integers(2**64, 2**128 - 1))
def test_networks_are_the_first_bits_of_an_address(number: int) -> None:
    """Of any IPv6 address: 64 bits are a subscriber, 56 and 48 are wider networks, 48 are a place."""
    address = str(ipaddress.IPv6Address(number))
    parts = {
        bits: f"{ipaddress.IPv6Address(number >> 128 - bits << 128 - bits)}/{bits}" for bits in (48, 56, 64)
    }
    assert subscriber(address) == parts[64]
    assert wider_networks(address) == ((parts[56], 4), (parts[48], 16))
    assert place_of(address) == parts[48]


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_moving_within_a_network_does_not_escape_a_limit(network: int, one: int, other: int) -> None:
    """All addresses of an IPv6 subscriber are one subscriber."""
    first, second = (str(ipaddress.IPv6Address(network << 64 | host)) for host in (one, other))
    if network:  # ::/64 holds the IPv4-mapped ones
        assert subscriber(first) == subscriber(second)


@PATIENT
@given(st.text(max_size=50))
def test_no_address_breaks_the_guard(address: str) -> None:
    """Whatever a proxy passes on is counted as some subscriber."""
    assert subscriber(address)


@pytest.mark.parametrize(
    ("e164", "place"),
    [
        ("+870773110001", "satellite"),
        ("+881612345678", "satellite"),
        ("+883510012345678", "international_networks"),
        ("+878101234567890", "international_networks"),
    ],
)
def test_all_countries_are_not_satellites_and_international_networks(e164: str, place: str) -> None:
    """They belong to no country and cost like none, so an operator has to name them."""
    asked = GuardedSend(number=parse(e164), app="web", purpose="login")

    def refused(*allow: str) -> bool:
        lines = lines_of_send(Guard(countries=Countries(allow=allow)), asked)
        return "countries" in [line.rule for line in lines]

    assert refused("*")
    assert refused("US")
    assert not refused("*", place)
    assert not refused(place)
