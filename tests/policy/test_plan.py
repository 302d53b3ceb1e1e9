"""Routing: which route serves a number, and the plan that it gets of it."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service import phone
from otp_service.challenge.model import Plan, Step
from otp_service.errors import ChannelNotAvailable, NoRoute
from otp_service.policy import App, ChallengeRules, Match, Policy, Route, StepRule
from otp_service.policy.model import AfterChoice
from otp_service.policy.reach import Reach

BRITISH, INDIAN, AMERICAN = (phone.parse(n) for n in ("+447400123456", "+919876543210", "+12025550100"))
LONDON, SATELLITE = phone.parse("+442070313000"), phone.parse("+80012345678")
SMS = StepRule(channel="sms", upstreams=("main",), wait=30)


def no_dice() -> float:
    """Fail if anything is drawn at random."""
    raise AssertionError("nothing is drawn here")


def nothing_learned(channel: str, country: str) -> float | None:
    """Know no times yet."""
    return None


def policy_of(*routes: Route, rules: ChallengeRules | None = None) -> Policy:
    """Give a policy of two apps."""
    apps = {"web": App(name="web", brand="Acme"), "shop": App(name="shop", brand="S")}
    return Policy(apps=apps, upstreams={}, routes=routes, challenge=rules or ChallengeRules())


def plan(
    policy: Policy,
    number: phone.Number = BRITISH,
    channel: str | None = None,
    *,
    dice: Callable[[], float] = no_dice,
    learned: Callable[[str, str], float | None] = nothing_learned,
) -> Plan:
    """Plan for the app `web` and a login."""
    return policy.plan(number, "web", "login", channel, dice=dice, learned=learned)


# Which route.

ROUTES = (
    Route(match=Match(countries=("IN",), purposes=("login",)), steps=(SMS,)),
    Route(match=Match(countries=("IN",)), steps=(SMS,)),
    Route(match=Match(prefixes=("+4478", "+4474")), steps=(SMS,)),
    Route(match=Match(countries=("GB",), types=("fixed_line", "voip")), steps=(SMS,)),
    Route(match=Match(apps=("shop",)), steps=(SMS,)),
)


@pytest.mark.parametrize(
    ("number", "app", "purpose", "place"),
    [
        (INDIAN, "web", "login", 0),
        (INDIAN, "web", "pay", 1),
        (INDIAN, "shop", "pay", 1),
        (BRITISH, "web", "login", 2),
        (LONDON, "web", "login", 3),
        (phone.Number("+447011123456", "GB", "voip"), "web", "login", 3),
        (phone.Number("+447011123456", "GB", "mobile"), "shop", "login", 4),
        (AMERICAN, "shop", "login", 4),
        (SATELLITE, "shop", "login", 4),
        (AMERICAN, "web", "login", None),
        (SATELLITE, "web", "login", None),
        (phone.Number("+447011123456", "GB", "mobile"), "web", "login", None),
    ],
)
def test_the_first_route_that_matches_is_used(
    number: phone.Number, app: str, purpose: str, place: int | None
) -> None:
    """Country, prefix, type, app and purpose must all match. If no route matches, nothing is sent."""
    policy = policy_of(*ROUTES)
    if place is None:
        with pytest.raises(NoRoute):
            policy.route_for(number, app, purpose)
    else:
        assert policy.route_for(number, app, purpose) == (place, ROUTES[place])


MATCHES = st.builds(
    Match,
    countries=st.lists(st.sampled_from(["GB", "IN", "US"]), max_size=2).map(tuple),
    prefixes=st.lists(st.sampled_from(["+4", "+44", "+4479", "+91", "+1"]), max_size=2).map(tuple),
    types=st.lists(st.sampled_from(["mobile", "fixed_line", "toll_free"]), max_size=2).map(tuple),
    apps=st.lists(st.sampled_from(["web", "shop"]), max_size=1).map(tuple),
    purposes=st.lists(st.sampled_from(["login", "pay"]), max_size=1).map(tuple),
)


@given(MATCHES, MATCHES)
def test_a_match_serves_everything_it_covers(mine: Match, other: Match) -> None:
    """A route that is reported as never reached is really never reached."""
    if Reach([mine, other]).covering(1):
        for number in (BRITISH, INDIAN, AMERICAN, LONDON, SATELLITE):
            for app in ("web", "shop"):
                for purpose in ("login", "pay"):
                    assert not other.serves(number, app, purpose) or mine.serves(number, app, purpose)


@given(MATCHES)
def test_a_match_covers_itself_and_an_empty_match_covers_any(match: Match) -> None:
    """So that a repeated route is always found."""
    assert Reach([match, match]).covering(1) == {0}
    assert Reach([Match(), match]).covering(1) == {0}


@given(MATCHES)
def test_a_match_may_meet_each_country_it_serves(match: Match) -> None:
    """So that no policy is refused for a country that a route serves."""
    for number in (BRITISH, INDIAN, AMERICAN, LONDON):
        if match.serves(number, "web", "login"):
            assert match.may_meet(number.country)


# Which plan.


def test_a_plan_is_a_copy_of_all_rules() -> None:
    """A change of the policy does not affect a running challenge."""
    rules = ChallengeRules(
        code_length=7,
        ttl=240,
        max_attempts=4,
        max_sends=2,
        cooldown=(9,),
        earlier_codes=1,
        after_choice="stop",
    )
    step = StepRule(
        channel="whatsapp", upstreams=("main", "spare"), wait=40, until="read", condition="open", lines="off"
    )
    assert plan(policy_of(Route(steps=(step, SMS)), rules=rules)) == Plan(
        steps=(Step("whatsapp", ("main", "spare"), 40, "read", "open", "off"), Step("sms", ("main",), 30)),
        code_length=7,
        ttl=240,
        max_attempts=4,
        max_sends=2,
        cooldown=(9,),
        live_codes=2,
        after_choice="stop",
        route="0",
    )


@pytest.mark.parametrize(
    ("of_all", "of_route", "expected"),
    [
        ("continue", None, "continue"),
        ("stop", None, "stop"),
        ("stop", "continue", "continue"),
        ("continue", "stop", "stop"),
    ],
)
def test_a_route_may_decide_what_follows_a_choice(
    of_all: AfterChoice, of_route: AfterChoice | None, expected: str
) -> None:
    """The route's `after_choice` overrides that of `[challenge]`."""
    policy = policy_of(Route(steps=(SMS,), after_choice=of_route), rules=ChallengeRules(after_choice=of_all))
    assert plan(policy).after_choice == expected


def test_a_requested_channel_comes_first_and_the_others_follow_in_order() -> None:
    """With all of its steps. A channel without a step is not available."""
    steps = [replace(SMS, channel=channel, wait=wait) for wait, channel in enumerate(("a", "b", "a", "c"), 5)]
    policy = policy_of(Route(steps=tuple(steps)))
    assert [(s.channel, s.wait) for s in plan(policy).steps] == [("a", 5), ("b", 6), ("a", 7), ("c", 8)]
    assert [s.wait for s in plan(policy, channel="b").steps] == [6, 5, 7, 8]
    assert [s.wait for s in plan(policy, channel="a").steps] == [5, 7, 6, 8]
    with pytest.raises(ChannelNotAvailable):
        plan(policy, channel="d")


# Waits that are learned.


@pytest.mark.parametrize(
    ("seconds", "wait"),
    [
        (None, 60),
        (0.0, 10),
        (9.2, 10),
        (10.0, 10),
        (10.1, 11),
        (59.5, 60),
        (60.5, 60),
        (1e9, 60),
        (float("inf"), 60),
    ],
)
def test_a_learned_wait_stays_within_its_bounds(seconds: float | None, wait: int) -> None:
    """In whole seconds, rounded up. It is the upper bound if nothing is known yet."""
    policy = policy_of(Route(steps=(replace(SMS, wait=None),)))
    assert plan(policy, learned=lambda _channel, _country: seconds).steps[0].wait == wait


def test_waits_are_learned_by_channel_and_country() -> None:
    """A written wait is not looked up."""
    steps = (
        replace(SMS, wait=None),
        replace(SMS, channel="voice", wait=None),
        replace(SMS, channel="rcs", wait=9),
    )
    known = {("sms", "GB"): 21.0, ("voice", "GB"): 42.0}
    found = plan(policy_of(Route(steps=steps)), learned=lambda channel, country: known[channel, country])
    assert [step.wait for step in found.steps] == [21, 42, 9]


# Accounts by weight.


def weighted(**weights: int) -> Policy:
    """Give a policy of one step over these accounts."""
    step = replace(SMS, upstreams=tuple(weights), weights=tuple(weights.values()))
    return policy_of(Route(steps=(step,)))


@pytest.mark.parametrize(
    ("rolls", "order"),
    [
        ([0.0, 0.0, 0.0], "abc"),
        ([0.49, 0.74, 0.0], "abc"),
        ([0.49, 0.76, 0.0], "acb"),
        ([0.5, 0.79, 0.0], "bac"),
        ([0.5, 0.81, 0.0], "bca"),
        ([0.999, 0.99, 0.99], "cba"),
    ],
)
def test_accounts_are_drawn_by_weight_each_once(rolls: list[float], order: str) -> None:
    """With weights 4, 3 and 1, the first half of the range draws the first, and so on for the rest."""
    dice: Iterator[float] = iter(rolls)
    found = plan(weighted(a=4, b=3, c=1), dice=lambda: next(dice)).steps[0].upstreams
    assert "".join(found) == order


@given(
    st.lists(st.integers(1, 10**9), min_size=1, max_size=6),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=6, max_size=6),
)
def test_every_account_is_in_the_order_once(weights: list[int], rolls: list[float]) -> None:
    """For any weights and draws, so that each can replace the others when they fail."""
    names = [f"u{place}" for place in range(len(weights))]
    dice = iter(rolls)
    found = (
        plan(weighted(**dict(zip(names, weights, strict=True))), dice=lambda: next(dice)).steps[0].upstreams
    )
    assert sorted(found) == names


def test_shares_of_the_first_try_follow_the_weights() -> None:
    """3 to 1 over many numbers."""
    policy, dice = weighted(main=3, spare=1), Random(4711).random
    first = Counter(plan(policy, dice=dice).steps[0].upstreams[0] for _ in range(4000))
    assert 0.72 < first["main"] / 4000 < 0.78


def test_a_share_that_rounding_leaves_over_is_the_last_accounts() -> None:
    """No draw is without an account."""
    assert plan(weighted(a=4, b=3, c=1), dice=lambda: 1.0).steps[0].upstreams == ("c", "b", "a")


def test_the_channels_of_a_number_are_those_of_its_route_each_once() -> None:
    """In the order of the steps."""
    steps = [replace(SMS, channel=channel) for channel in ("voice", "sms", "voice", "rcs")]
    policy = policy_of(Route(match=Match(countries=("IN",)), steps=(SMS,)), Route(steps=tuple(steps)))
    assert policy.channels(INDIAN, "web", "login") == ("sms",)
    assert policy.channels(BRITISH, "web", "login") == ("voice", "sms", "rcs")
    routes = policy_of(
        Route(match=Match(apps=("shop",)), steps=(replace(SMS, channel="rcs"),)),
        Route(match=Match(purposes=("pay",)), steps=(replace(SMS, channel="mip"),)),
        Route(steps=(SMS,)),
    )
    asked = (("shop", "pay"), ("web", "pay"), ("web", "login"))
    assert [routes.channels(BRITISH, *one) for one in asked] == [("rcs",), ("mip",), ("sms",)]
    with pytest.raises(NoRoute):
        policy_of().channels(BRITISH, "web", "login")


def test_each_account_has_its_weight() -> None:
    """An account without one would never be drawn, and nobody would see why."""
    with pytest.raises(ValueError, match="shorter"):
        replace(SMS, upstreams=("a", "b"), weights=(1,)).order(lambda: 0.5)


def test_a_plan_is_that_of_the_purpose() -> None:
    """A payment may take another route than a login."""
    policy = policy_of(
        Route(match=Match(purposes=("login",)), steps=(replace(SMS, channel="mip"),), name="in"),
        Route(steps=(SMS,)),
    )
    assert plan(policy).route == "in"
    paying = policy.plan(BRITISH, "web", "pay", None, dice=no_dice, learned=nothing_learned)
    assert (paying.route, paying.steps[0].channel) == ("1", "sms")


def test_accounts_in_a_list_keep_their_order() -> None:
    """Nothing is drawn for them."""
    step = replace(SMS, upstreams=("main", "spare", "third"))
    assert plan(policy_of(Route(steps=(step,)))).steps[0].upstreams == ("main", "spare", "third")


HYBRID = ["capacitor://localhost", "ionic://localhost", "tauri://localhost", "https://localhost"]


@pytest.mark.parametrize(
    "origin", [*HYBRID, "https://localhost:8100", "http://tauri.localhost", "https://tauri.localhost"]
)
def test_the_origin_of_a_hybrid_app_is_never_bound_in_a_message(origin: str) -> None:
    """All such apps share these hosts, so a line such as @localhost would bind the code to nothing."""
    app = App(name="web", brand="Acme", origins=(origin, "https://app.example.com"))
    assert app.host(origin) == ""
    assert app.host(None) == app.host("https://app.example.com") == "app.example.com"
    assert replace(app, origins=(origin,)).host(None) == ""
