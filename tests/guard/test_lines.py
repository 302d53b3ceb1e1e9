"""The lines of a send as they are judged and charged: a counter with another name would start again from nothing."""

from dataclasses import replace

import pytest

from otp_service.guard import lines, rules
from otp_service.guard.lines import Line
from otp_service.guard.rules import (
    GuardedSend,
    after_failure,
    after_refused_proof,
    after_sending,
    after_success,
    asked_of,
    lines_of_fallback,
    lines_of_send,
)
from otp_service.phone import Number
from otp_service.policy import Guard
from otp_service.policy.guard_forms import changed
from otp_service.policy.limits import Countries, Money
from tests.support.challenge_values import a_challenge

GUARD = Guard(countries=Countries(allow=("US",)))
NUMBER = Number("+12025550100", "US", "fixed_line_or_mobile")
HOUR, DAY = 3_600_000, 86_400_000


def asked(**more: object) -> GuardedSend:
    """Give what is known about a send from a device, in a session."""
    usual = {"number": NUMBER, "app": "web", "purpose": "login", "address": "192.0.2.1", "known": "device"}
    return GuardedSend(**{**usual, **more})  # type: ignore[arg-type]  # names and types are the test's business


def spelt(found: list[Line]) -> list[str]:
    """Write lines without their figures."""
    return [
        " ".join(
            [
                *(line.rule, line.kind, line.owner, line.scope or "-", "|".join(line.subject) or "-"),
                *([f"cost={line.cost}"] if line.cost != 1 else []),
                *(["private"] if line.private else []),
                *([f"place={line.place}"] if line.place else []),
                *([f"of={line.of}"] if line.of else []),
                *([] if line.on else ["watched"]),
                *(f"{name}={value}" for name, value in line.more.items()),
            ]
        )
        for line in found
    ]


def the(found: list[Line], rule: str) -> Line:
    """Give the only line of a rule."""
    [line] = [line for line in found if line.rule == rule]
    return line


def test_the_lines_of_a_send_from_a_known_device() -> None:
    """Whose counters, under which names: of the caller, of the service, of the number's places, of the number."""
    assert spelt(lines_of_send(GUARD, asked(session="s"))) == [
        "address count caller address 192.0.2.1|device private",
        "session count caller session web|s private",
        "app count service app web",
        "money count service app web cost=10000",
        "everything count service all -",
        "guessing count service guesses - cost=0",
        "country count destination country US|device",
        "unproven count destination unproven web|US|device",
        "conversion share destination country-codes US|device",
        "conversion share destination prefix +1202555|device private",
        "prefix count destination prefix +1202555|device private",
        "suppression listed person suppression +12025550100",
        "recycled listed destination recycled +12025550100",
        "failures count destination number +12025550100|device cost=0 private place=192.0.2.0/24",
        "consecutive streak destination streak +12025550100|device cost=0 private",
        "cooldown ladder destination number +12025550100|device private",
        "number count destination number +12025550100|device private place=192.0.2.0/24",
        "standing standing destination number +12025550100|device private",
    ]


def test_the_figures_of_a_send() -> None:
    """Times are milliseconds; tiers are level, limit and window."""
    found = lines_of_send(GUARD, asked(session="s"))
    figures = {line.scope if line.rule == "conversion" else line.rule: dict(line.figures) for line in found}
    assert figures["address"] == {
        "tiers": [
            ("human_check", 6, 600_000),
            ("refuse", 10, 60_000),
            ("refuse", 60, HOUR),
            ("refuse", 200, DAY),
        ],
        "hold": HOUR,
    }
    assert figures["money"] == {
        "tiers": [("refuse", 50_000_000, HOUR), ("refuse", 500_000_000, DAY)],
        "hold": 0,
    }
    assert figures["unproven"] == {
        "tiers": [("refuse", 100, HOUR), ("refuse", 300, DAY)],
        "hold": 0,
        "trickle": [20, 2_700_000],
        "ratio": 2.0,
    }
    judged = {"share": 0.2, "least": 50, "probes": 10, "within": 900_000, "grace": 60_000, "hold": 900_000}
    assert figures["country-codes"] == {**judged, "longest": HOUR, "level": "human_check"}
    assert figures["prefix"] == {
        "tiers": [("human_check", 10, HOUR), ("refuse", 20, HOUR), ("refuse", 40, DAY)],
        "hold": 0,
        "trickle": [5, 2_700_000],
    }
    assert figures["consecutive"] == {"most": 100, "step": 5000, "longest": HOUR, "kept": 365 * DAY}
    assert figures["cooldown"] == {"steps": [30_000, 60_000, 120_000], "forget": 600_000}
    assert figures["suppression"] == {"level": "refuse"}
    by_prefix = lines.share(GUARD.conversion, "prefix", ("+1202555", "device"))
    assert dict(by_prefix.figures) == {**judged, "longest": HOUR, "level": "refuse"}


@pytest.mark.parametrize(
    ("known", "whole"), [("", False), ("session", False), ("device", True), ("vouched", True)]
)
def test_a_part_of_what_many_share_is_for_likely_owners(known: str, *, whole: bool) -> None:
    """Strangers use up four fifths of what an app, a country and the service may send."""
    found = lines_of_send(GUARD, asked(known=known))
    tiers = [the(found, rule).figures["tiers"][0][1] for rule in ("app", "everything", "country")]
    assert tiers == ([5000, 10_000, 3000] if whole else [4000, 8000, 2400])


def test_a_caller_whom_a_server_vouches_for_meets_no_wrong_codes_in_a_row() -> None:
    """The other factor reopens the number for all kinds of callers."""
    found = spelt(lines_of_send(GUARD, asked(known="vouched", address=None)))
    cleared = [
        f"consecutive clear destination streak +12025550100|{kind} private" for kind in rules.FAMILIARITY
    ]
    assert [line for line in found if line.startswith("consecutive")] == cleared
    assert not [line for line in found if line.startswith(("standing", "address"))]


def test_a_server_that_names_a_session_gives_it_as_the_place() -> None:
    """What trickles through is then for new sessions."""
    found = lines_of_send(GUARD, asked(address=None, session="s"))
    assert {line.place for line in found if line.place} == {"s"}


def test_a_number_of_a_wrong_country_or_kind_is_refused_whoever_asks() -> None:
    """Both lines are about the number, and are watched if the rule is."""
    pager = replace(NUMBER, country="GB", type="pager")
    found = lines_of_send(GUARD, asked(number=pager))
    assert spelt(found)[:2] == [
        "countries fixed destination - -",
        "number_types fixed destination - -",
    ]
    assert [dict(line.figures) for line in found[:2]] == [{"level": "refuse"}] * 2
    watching = changed(GUARD, {"countries": {"mode": "watch"}}, "")
    assert spelt(lines_of_send(watching, asked(number=pager)))[0] == "countries fixed destination - - watched"
    assert lines.fixed("number_types", "enforce") == rules.UNKNOWN_NUMBER


def test_what_an_apps_endpoint_decided_is_a_line_of_the_service() -> None:
    """With the level that it named."""
    line = lines.decided("cheap")
    assert spelt([line]) == ["decision fixed service - -"]
    assert dict(line.figures) == {"level": "cheap"}


def test_a_number_with_a_new_owner_counts_for_the_purposes_that_the_rule_names() -> None:
    """Such as login, where the old owner's account is."""
    guard = replace(GUARD, recycled=replace(GUARD.recycled, then="human_check", purposes=("login",)))
    found = lines_of_send(guard, asked())
    assert "recycled listed destination recycled +12025550100" in spelt(found)
    assert dict(the(found, "recycled").figures) == {"level": "human_check"}
    assert "recycled" not in {line.rule for line in lines_of_send(guard, asked(purpose="signup"))}


def test_a_wider_network_may_send_as_much_as_its_parts() -> None:
    """An IPv6 /56 counts as four subscribers and a /48 as sixteen."""
    found = [line for line in lines_of_send(GUARD, asked(address="2001:db8::1")) if line.rule == "address"]
    assert [line.subject[0] for line in found] == ["2001:db8::/64", "2001:db8::/56", "2001:db8::/48"]
    assert [line.figures["tiers"][0][1] for line in found] == [6, 24, 96]


def test_an_apps_own_rule_holds_that_app_only() -> None:
    """A watched rule is counted, and refuses nothing."""
    own = changed(GUARD, {"number": {"mode": "watch"}, "conversion": {"mode": "watch"}}, "web")
    found = spelt(lines_of_send(own, asked(address=None)))
    assert [line for line in found if "of=web" in line] == [
        "conversion share destination country-codes US|device of=web watched",
        "conversion share destination prefix +1202555|device private of=web watched",
        "number count destination number +12025550100|device private of=web watched",
    ]


def test_a_message_that_the_service_adds_meets_no_pause_and_gets_no_trickle() -> None:
    """A fallback counts for all budgets."""
    found = lines_of_fallback(GUARD, asked())
    of_send = [line.rule for line in lines_of_send(GUARD, asked())]
    first_only = {"cooldown", "consecutive", "conversion", "standing"}
    assert [line.rule for line in found] == [rule for rule in of_send if rule not in first_only]
    assert [line for line in found if "trickle" in line.figures] == []
    assert dict(the(found, "number").figures) == {
        "tiers": [("refuse", 3, 600_000), ("refuse", 5, HOUR), ("refuse", 10, DAY)],
        "hold": 0,
    }


def test_a_wrong_code_counts_for_the_service_and_for_the_number() -> None:
    """Twice for the number: within a time, and in a row."""
    assert spelt(after_failure(GUARD, asked())) == [
        "guessing count service guesses -",
        "failures count destination number +12025550100|device private",
        "consecutive streak destination streak +12025550100|device private",
    ]


def test_a_rejected_human_check_counts_as_a_message_of_its_address() -> None:
    """And as nothing if there is no address, or no rule about it."""
    assert spelt(after_refused_proof(GUARD, asked(known=""))) == [
        "address count caller address 192.0.2.1| private"
    ]
    assert after_refused_proof(GUARD, asked(address=None)) == []
    off = replace(GUARD, address=replace(GUARD.address, mode="off"))
    assert after_refused_proof(off, asked()) == []


AFTER_RIGHT = [
    "conversion share destination country-codes US|{0} add=v moment=1000",
    "conversion share destination prefix +1202555|{0} private add=v moment=1000",
    "unproven proven destination unproven web|US|{0} moments=[1000, 2000]",
    "prefix proven destination prefix +1202555|{0} private moments=[1000, 2000]",
    "failures clear destination number +12025550100|{0} private",
    "cooldown clear destination number +12025550100|{0} private",
    "standing clear destination number +12025550100|device private",
]


@pytest.mark.parametrize(
    ("known", "reopened"), [("", ("",)), ("server", ("server",)), ("device", rules.FAMILIARITY)]
)
def test_a_right_code_proves_its_messages_and_forgives(known: str, reopened: tuple[str, ...]) -> None:
    """A likely owner's reopens the number for all kinds of callers; a stranger's for strangers only."""
    found = after_success(GUARD, asked(known=known, address=None), [1000, 2000])
    assert spelt(found) == [
        *(line.format(known) for line in AFTER_RIGHT),
        *(f"consecutive clear destination streak +12025550100|{kind} private" for kind in reopened),
    ]
    assert the(found, "unproven").figures == the(lines_of_send(GUARD, asked(known=known)), "unproven").figures


def test_a_network_from_which_a_right_code_came_is_known_to_the_number() -> None:
    """So the trickle for new networks is not for it."""
    found = spelt(after_success(GUARD, asked(), [1000]))
    assert "number met destination number +12025550100|device private place=192.0.2.0/24" in found


def test_a_message_that_left_counts_once_for_conversion_and_by_its_price() -> None:
    """A price that the guard was right about changes nothing; prices count in ten-thousandths."""
    assert spelt(after_sending(GUARD, asked(), 5000, 0.25)) == [
        "conversion share destination country-codes US|device add=s moment=5000",
        "conversion share destination prefix +1202555|device private add=s moment=5000",
        "money count service app web cost=2500",
    ]
    assert spelt(after_sending(GUARD, asked(), None, -0.5)) == ["money count service app web cost=-5000"]
    assert after_sending(GUARD, asked(), None, 0.00001) == []


def test_what_is_known_of_a_send_is_read_back_from_its_challenge() -> None:
    """For counts that follow later; a word that is not known is a stranger's."""
    found = asked_of(a_challenge(known="device", purpose="pay"), "+12025550100")
    assert found == GuardedSend(
        number=Number("+12025550100", "US", ""), app="web", purpose="pay", known="device"
    )
    assert asked_of(a_challenge(known="friend"), "+12025550100").known == ""


def test_a_policy_is_shown_by_the_limits_of_its_rules() -> None:
    """Each rule once, with its mode; a rule that is no budget has none."""
    guard = replace(GUARD, money=Money(refuse=GUARD.money.refuse[:1], mode="watch"))
    shown = list(rules.limits_of(guard, lines_of_send(guard, asked())))
    assert [one["rule"] for one in shown] == list(
        dict.fromkeys(line.rule for line in lines_of_send(guard, asked()))
    )
    by_rule = {one["rule"]: one for one in shown}
    assert by_rule["money"] == {"rule": "money", "mode": "watch", "limits": ["5000 in 3600 s: refuse"]}
    assert by_rule["suppression"] == {"rule": "suppression", "mode": "enforce", "limits": []}
    assert by_rule["address"]["limits"][:2] == ["6 in 600 s: human_check", "10 in 60 s: refuse"]
