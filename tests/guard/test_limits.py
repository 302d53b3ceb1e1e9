"""Every limit that the policy can set is tripped through the service, and holds under a crowd.

The cases are held against the forms: a field of `[guard]` without one fails here.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from otp_service.challenge.view import View
from otp_service.errors import (
    HumanCheckFailed,
    HumanCheckRequired,
    HumanCheckUnavailable,
    NoRoute,
    NumberOptedOut,
    OtpError,
    TooManyRequests,
    WrongCode,
)
from otp_service.guard.limiter import Allowance
from otp_service.guard.lines import Line
from otp_service.guard.pins import PinNames
from otp_service.guard.rules import FAMILIARITY, after_failure, after_sending, lines_of_send
from otp_service.policy import RULES, Guard
from otp_service.policy.guard_forms import FORMS
from otp_service.policy.limits import HumanRules, Window
from otp_service.verification.resend import ResendRequest
from otp_service.verification.send import SendRequest
from tests.support.counters import Counters, asked, only
from tests.support.deployments import Cluster
from tests.support.fault_server import FaultServer, http_json, say
from tests.support.proofs import encoded, proof
from tests.support.spine import NUMBERS, PatientScripts, Spine, open_spine, seen, together
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import scripts_at

BROWSER = "192.0.2.1"
NEIGHBOURS = [f"+1415555{2600 + place}" for place in range(99)]
"""Numbers of one prefix."""
WORDS: Mapping[type[Exception], str] = {
    HumanCheckRequired: "human_check",
    HumanCheckFailed: "failed",
    HumanCheckUnavailable: "no judge",
    TooManyRequests: "refuse",
    NoRoute: "never",
    NumberOptedOut: "never",
}


@dataclass
class Play:
    """A service with the rules of a test, and its requests."""

    spine: Spine
    asks: int = 0
    known: str = ""

    def send(self, number: str | None = None, address: str | None = "", **more: Any) -> str:  # noqa: ANN401
        """Send for a number of its own from an address of its own; gives the channel, or what was refused how."""
        self.asks += 1
        own = f"2001:db8:{self.asks:x}::1" if address == "" else address
        if self.known:
            own, more = None, {"other_factor": True}
        caller = replace(self.spine.caller, address=own)
        try:
            view = self.spine.send.send(caller, SendRequest(to=number or NUMBERS[self.asks], **more))
        except OtpError as error:
            return WORDS[type(error)]
        return self._brought(view)

    def _brought(self, view: View) -> str:
        self.spine.dispatcher.dispatch(view.challenge_id, lambda: False)
        self.newest = view
        return view.channel

    def fail(self, times: int, number: str) -> None:
        """Enter a wrong code so many times."""
        assert self.send(number) == "sms"
        _, code = self.spine.phone.next()
        wrong = "".join("1" if digit == "0" else "0" for digit in code)
        for _ in range(times):
            with pytest.raises(WrongCode):
                self.spine.check.verify(self.spine.caller, self.newest.challenge_id, wrong)

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.spine.store.scripts.offset += int(seconds * 1000)


@contextmanager
def playing(valkey: ValkeyServer, tables: Mapping[str, Mapping[str, Any]], **more: Any) -> Iterator[Play]:  # noqa: ANN401
    """Give a service with the rules of some tables, written as in a policy."""
    with open_spine(valkey, guard=only(tables, **more)) as spine:
        yield Play(spine)


Attempt = Callable[[Play], str]
SAME: Mapping[str, Attempt] = {
    "address": lambda play: play.send(address=BROWSER),
    "session": lambda play: play.send(address=None, session="s"),
    "app": lambda play: play.send(),
    "money": lambda play: play.send(),
    "everything": lambda play: play.send(),
    "country": lambda play: play.send(),
    "unproven": lambda play: play.send(),
    "prefix": lambda play: play.send(NEIGHBOURS[play.asks]),
    "number": lambda play: play.send(NUMBERS[0]),
}
"""What a budget counts: another send by whom, or for whom, it is."""


def fill(play: Play, rule: str, times: int) -> str:
    """Use up a budget of `times`; give the outcome of one more send."""
    if rule in {"failures", "guessing"}:
        if times:
            play.fail(times, NUMBERS[0])
        return play.send(NUMBERS[0])
    assert [SAME[rule](play) for _ in range(times)] == ["sms"] * times
    return SAME[rule](play)


BUDGETS = [*SAME, "failures", "guessing"]
TOLD = {"human_check": "human_check", "cheap": "voice", "refuse": "refuse"}
CASES: set[tuple[str, str]] = set()
"""Each rule and field that a test below trips."""


def trips(*cases: tuple[str, str]) -> None:
    """Record what a test trips."""
    CASES.update(cases)


trips(*((rule, level) for rule in BUDGETS for level in TOLD))


@pytest.mark.parametrize("level", TOLD)
@pytest.mark.parametrize("rule", BUDGETS)
def test_a_budget_requires_the_level_of_its_threshold(valkey: ValkeyServer, rule: str, level: str) -> None:
    """Two pass; the third needs a check, goes over a cheap channel, or is refused. A window later it passes."""
    with playing(valkey, {rule: {level: ["2/m"], "hold": "0s"}}, cheap_channels=("voice",)) as play:
        assert fill(play, rule, 2) == TOLD[level]
        play.later(70)
        assert fill(play, rule, 0) == "sms"


trips(*((rule, "hold") for rule in BUDGETS))


@pytest.mark.parametrize("rule", BUDGETS)
def test_a_refusal_holds(valkey: ValkeyServer, rule: str) -> None:
    """For longer than its window if the rule says so. Attempts in between do not lengthen it."""
    with playing(valkey, {rule: {"refuse": ["2/m"], "hold": "10m"}}) as play:
        assert fill(play, rule, 2) == "refuse"
        play.later(540)
        assert fill(play, rule, 0) == "refuse"
        play.later(61)
        assert fill(play, rule, 0) == "sms"


trips(("money", "prices"), ("money", "country_prices"))


@pytest.mark.parametrize(
    "prices", [{"prices": {"sms": 2.5}}, {"prices": {"sms": 1}, "country_prices": {"US": {"sms": 2.5}}}]
)
def test_money_counts_what_messages_cost(valkey: ValkeyServer, prices: dict[str, Any]) -> None:
    """Two messages of 2.5 fit into 6; a third does not."""
    with playing(valkey, {"money": {"refuse": ["6/m"], **prices}}) as play:
        assert fill(play, "money", 2) == "refuse"


def test_each_message_is_paid_for_at_the_price_of_its_channel(valkey: ValkeyServer) -> None:
    """A cheap resend does not lower the price of the message before it, and an expensive one is not counted twice."""
    for prices, paid in (({"sms": 5, "voice": 1}, 6), ({"sms": 1, "voice": 5}, 6)):
        with playing(valkey, {"money": {"refuse": ["100/h"], "prices": prices}}) as play:
            assert play.send() == "sms"
            play.later(61)
            view = play.spine.resend.resend(play.spine.caller, play.newest.challenge_id)
            assert play._brought(view) == "voice"  # noqa: SLF001
            found = play.spine.limiter.preview(
                lines_of_send(play.spine.caller.active.policy.guard, asked(channel="push")),
                Allowance(),
                PinNames(),
            )
            assert found.standing is not None
            assert found.standing.left == 100 - paid - 1


trips(("guessing", "code_length"))


def test_codes_grow_while_codes_are_guessed(valkey: ValkeyServer) -> None:
    """Beyond the threshold, new challenges have as many digits as the rule says."""
    with playing(valkey, {"guessing": {"cheap": ["2/m"], "code_length": 9}}, cheap_channels=("sms",)) as play:
        assert fill(play, "guessing", 1) == "sms"
        assert play.newest.code_length == 6
        assert fill(play, "guessing", 1) == "sms"
        assert play.newest.code_length == 9


trips(("cooldown", "ladder"), ("cooldown", "forget"))


def test_pauses_between_messages_grow_and_are_forgotten(valkey: ValkeyServer) -> None:
    """10 minutes, then 30 each time, until no message was sent for two hours."""
    with playing(valkey, {"cooldown": {"ladder": ["10m", "30m"], "forget": "2h"}}) as play:
        told = []
        for minutes in (0, 9, 2, 28, 3, 28, 3, 121, 9, 2):
            play.later(60 * minutes)
            told.append(play.send(NUMBERS[0]))
        wait = "refuse"
        assert told == ["sms", wait, "sms", wait, "sms", wait, "sms", "sms", wait, "sms"]


trips(("countries", "allow"), ("number_types", "refuse"))


def test_countries_and_types_that_get_no_message(valkey: ValkeyServer) -> None:
    """No message goes to a country that is not named, or to a type that is."""
    with playing(valkey, {"countries": {"allow": ["US"]}}) as play:
        assert (play.send(), play.send("+447400123456")) == ("sms", "never")
    with playing(valkey, {"number_types": {"refuse": ["mobile"]}}) as play:
        assert (play.send(), play.send("+447400123456")) == ("sms", "never")


trips(("recycled", "then"), ("recycled", "purposes"))


def test_a_recycled_number_gets_the_level_of_the_rule_for_its_purposes(valkey: ValkeyServer) -> None:
    """The new owner may sign up, but may not log in as the old owner."""
    for then, told in (("refuse", "never"), ("human_check", "human_check")):
        with playing(valkey, {"recycled": {"then": then, "purposes": ["login"]}}) as play:
            play.spine.history.record_recycled([NUMBERS[0]], play.spine.store.facts.time(), 3600)
            assert play.send(NUMBERS[0], purpose="login") == told
            assert play.send(NUMBERS[0], purpose="signup") == "sms"
            assert play.send(NUMBERS[1], purpose="login") == "sms"


JUDGED = {
    "share": 0.5,
    "sends": 4,
    "probes": 2,
    "within": "10m",
    "grace": "1m",
    "hold": "5m",
    "longest": "10m",
    "country": "refuse",
    "prefix": "refuse",
}
trips(*(("conversion", field) for field in JUDGED))


def converting(play: Play, sends: int, verified: int = 0) -> list[str]:
    """Send so many times; the first codes are verified."""
    told = []
    for place in range(sends):
        told.append(play.send())
        if told[-1] == "sms":
            _, code = play.spine.phone.next()
            if place < verified:
                play.spine.check.verify(play.spine.caller, play.newest.challenge_id, code)
    return told


@pytest.mark.parametrize(
    ("change", "sends", "verified", "wait", "told"),
    [
        ({}, 4, 1, 121, "refuse"),
        ({}, 4, 2, 121, "sms"),
        ({"share": 0.2}, 4, 1, 121, "sms"),
        ({"sends": 5}, 4, 1, 121, "sms"),
        ({"grace": "10m", "within": "20m"}, 4, 0, 240, "human_check"),
        ({}, 4, 0, 720, "sms"),
        ({"within": "60m"}, 4, 0, 720, "refuse"),
        ({"country": "human_check", "prefix": "cheap"}, 4, 0, 121, "refuse"),
        ({"country": "human_check", "prefix": "human_check"}, 4, 0, 121, "human_check"),
        ({"country": "human_check"}, 4, 0, 121, "refuse"),
    ],
)
def test_codes_that_do_not_come_back_stop_their_place(
    valkey: ValkeyServer, change: dict[str, Any], sends: int, verified: int, wait: int, told: str
) -> None:
    """Judged when the grace is over, within the window, at so many sends, by the share that came back.

    Before that so many on their way make the next one prove that it is human.
    """
    with playing(valkey, {"conversion": {**JUDGED, **change}}) as play:
        assert converting(play, sends, verified) == ["sms"] * sends
        play.later(wait)
        assert play.send() == told


def test_after_a_stop_only_probes_leave_until_they_are_judged(valkey: ValkeyServer) -> None:
    """Two probes after five minutes. If they are not verified either, the next stop lasts ten minutes."""
    with playing(valkey, {"conversion": JUDGED}) as play:
        converting(play, 4)
        play.later(121)
        assert play.send() == "refuse"
        play.later(301)
        assert converting(play, 4) == ["sms", "sms", "refuse", "refuse"]
        play.later(121)
        assert play.send() == "refuse"
        play.later(540)
        assert play.send() == "refuse"
        play.later(61)
        assert play.send() == "sms"


trips(("human_check", "kind"), ("human_check", "url"), ("human_check", "site_key"))


def test_a_vendors_check_is_posed_and_verified_by_the_vendor(valkey: ValkeyServer) -> None:
    """A page gets the vendor's site key. If the vendor does not answer, no send passes."""
    human = HumanRules(kind="siteverify", url="http://127.0.0.1:9/", site_key="key-of-the-site")
    with playing(valkey, {"app": {"human_check": ["1/h"]}}, human_check=human) as play:
        assert fill(play, "app", 1) == "human_check"
        assert play.send(human_proof="token") == "no judge"
        caller = replace(play.spine.caller, address=BROWSER)
        with pytest.raises(HumanCheckRequired) as caught:
            play.spine.send.send(caller, SendRequest(to=NUMBERS[0]))
        assert caught.value.check["site_key"] == "key-of-the-site"


def test_a_vendors_answer_decides_about_a_token(valkey: ValkeyServer) -> None:
    """An accepted token admits one send; a rejected one is a failed check."""
    with FaultServer() as vendor:
        human = HumanRules(kind="siteverify", url=f"{vendor.url}siteverify", site_key="key-of-the-site")
        with playing(valkey, {"app": {"human_check": ["1/h"]}}, human_check=human) as play:
            vendor.play(say(http_json({"success": True})))
            assert fill(play, "app", 1) == "human_check"
            assert [play.send(human_proof="token") for _ in range(2)] == ["sms", "failed"]
            vendor.play(say(http_json({"success": False, "error-codes": ["invalid-input-response"]})))
            assert play.send(human_proof="another") == "failed"


def test_a_vendor_is_asked_only_if_a_check_is_required(valkey: ValkeyServer) -> None:
    """Otherwise made-up tokens could keep our threads and the vendor's account busy. An address has a limit."""
    with FaultServer() as vendor:
        human = HumanRules(kind="siteverify", url=f"{vendor.url}siteverify", site_key="key-of-the-site")
        address = {"human_check": ["1/10m"], "refuse": ["3/10m"], "hold": "1h"}
        with playing(valkey, {"address": address}, human_check=human) as play:
            vendor.play(say(http_json({"success": False, "error-codes": ["invalid-input-response"]})))
            assert play.send(address=BROWSER, human_proof="made up") == "sms"
            told = [play.send(address=BROWSER, human_proof="made up") for _ in range(5)]
            assert told == ["failed", "failed", "refuse", "refuse", "refuse"]
            assert len(vendor.received) == 2
            play.later(1200)
            assert play.send(address=BROWSER, human_proof="made up") == "refuse"
            assert len(vendor.received) == 2


def test_a_proof_admits_one_send(valkey: ValkeyServer) -> None:
    """A second use fails, and the next send needs another check."""
    with playing(valkey, {"app": {"human_check": ["4/h"]}}) as play:
        assert fill(play, "app", 4) == "human_check"
        caller = replace(play.spine.caller, address=BROWSER)
        with pytest.raises(HumanCheckRequired) as caught:
            play.spine.send.send(caller, SendRequest(to=NUMBERS[0]))
        solved = encoded(proof(caught.value.check))
        told = [play.send(NUMBERS[0], address=BROWSER, human_proof=solved) for _ in range(2)]
        assert told == ["sms", "failed"]
        assert play.send(NUMBERS[0], address=BROWSER) == "human_check"


def test_a_resend_needs_a_check_and_passes_with_its_proof(valkey: ValkeyServer) -> None:
    """It is another message."""
    with playing(valkey, {"app": {"human_check": ["4/h"]}}) as play:
        assert fill(play, "app", 3) == "sms"
        play.later(61)
        caller = replace(play.spine.caller, address=BROWSER)
        with pytest.raises(HumanCheckRequired) as caught:
            play.spine.resend.resend(caller, play.newest.challenge_id)
        solved = encoded(proof(caught.value.check))
        play.spine.resend.resend(caller, play.newest.challenge_id, ResendRequest(human_proof=solved))
        play.later(61)
        with pytest.raises(HumanCheckFailed):
            play.spine.resend.resend(caller, play.newest.challenge_id, ResendRequest(human_proof=solved))


@pytest.mark.parametrize("named", [{"session": "s"}, {"address": BROWSER}])
def test_a_resend_counts_for_the_session_or_address_of_the_send(
    valkey: ValkeyServer, named: dict[str, Any]
) -> None:
    """A server does not name them again."""
    [rule] = named
    with playing(valkey, {rule: {"refuse": ["2/h"]}}) as play:
        server = replace(play.spine.caller, address=None)
        first = play.spine.send.send(server, SendRequest(to=NUMBERS[0], **named))
        play._brought(first)  # noqa: SLF001
        play.later(61)
        play.spine.resend.resend(server, first.challenge_id)
        with pytest.raises(TooManyRequests) as caught:
            play.spine.send.send(server, SendRequest(to=NUMBERS[1], **named))
        assert caught.value.rule == rule


def test_a_hoard_of_light_checks_admits_few_sends(valkey: ValkeyServer) -> None:
    """When they are used, heavier checks are required soon."""
    with playing(valkey, {"app": {"human_check": ["2/h"]}}) as play:
        assert fill(play, "app", 2) == "human_check"
        hoard = []
        for number in NUMBERS[10:14]:
            caller = replace(play.spine.caller, address=BROWSER)
            with pytest.raises(HumanCheckRequired) as caught:
                play.spine.send.send(caller, SendRequest(to=number))
            hoard.append((number, encoded(proof(caught.value.check))))
        told = [play.send(number, address=BROWSER, human_proof=solved) for number, solved in hoard]
        assert told == ["sms", "sms", "human_check", "human_check"]


def _stopped(play: Play) -> str:
    index = play.spine.seal.index("suppressed", NUMBERS[0])
    play.spine.store.suppressions.add(index, {}, 60)
    return play.send(NUMBERS[0])


def _recycled(play: Play) -> str:
    play.spine.history.record_recycled([NUMBERS[0]], play.spine.store.facts.time(), 3600)
    return play.send(NUMBERS[0])


def _unconverted(play: Play) -> str:
    converting(play, 4)
    play.later(121)
    return play.send()


def _mistyped(play: Play) -> str:
    play.fail(1, NUMBERS[0])
    return play.send(NUMBERS[0])


def _twice(play: Play) -> str:
    play.send(NUMBERS[0])
    return play.send(NUMBERS[0])


TRIPPED: Mapping[str, tuple[Mapping[str, Any], Attempt]] = {
    **{rule: ({"refuse": ["1/m"]}, partial(fill, rule=rule, times=1)) for rule in BUDGETS},
    "countries": ({"allow": ["GB"]}, Play.send),
    "number_types": ({"refuse": ["fixed_line_or_mobile"]}, Play.send),
    "cooldown": ({"ladder": ["30s"]}, _twice),
    "consecutive": ({"step": "30s"}, _mistyped),
    "conversion": (JUDGED, _unconverted),
    "suppression": ({}, _stopped),
    "recycled": ({"purposes": ["login"]}, _recycled),
}
trips(*((rule, "mode") for rule in TRIPPED))


@pytest.mark.parametrize("rule", TRIPPED)
def test_a_rule_enforces_watches_or_is_off(valkey: ValkeyServer, rule: str) -> None:
    """Enforced, the send is refused. Watched, it is counted and admitted. Off, it is neither counted nor refused."""
    table, act = TRIPPED[rule]
    for mode in ("enforce", "watch", "off"):
        with playing(valkey, {rule: {**table, "mode": mode}}) as play:
            told = act(play)
            assert (told in {"refuse", "never"}) is (mode == "enforce"), told
            found = play.spine.metrics.guard.labels(rule, "refuse", mode)._value.get()  # noqa: SLF001
            assert (found > 0) is (mode != "off")


def test_every_field_of_the_guard_has_a_test() -> None:
    """The list of fields is made from the forms themselves."""
    assert {(rule, field) for rule, form in FORMS.items() for field in form.fields} == CASES
    assert set(RULES) == {*TRIPPED, "standing"}


trips(*((rule, "trickle") for rule in ("country", "unproven", "prefix", "failures", "number")))


@pytest.mark.parametrize("rule", ["country", "unproven", "prefix", "failures", "number"])
def test_beyond_a_long_refusal_a_little_leaves_after_a_check(valkey: ValkeyServer, rule: str) -> None:
    """For those who solve a check, one in ten minutes; not beyond a refusal that ends as soon.

    For one number only to a network that had no message to it within a day.
    """
    with playing(valkey, {rule: {"refuse": ["2/h"], "trickle": ["1/10m"]}}) as play:
        assert fill(play, rule, 2) == "human_check"
        assert solved(play, rule) == "sms"
        assert fill(play, rule, 0) == "refuse"
        play.later(660)
        assert solved(play, rule) == "sms"
    with playing(valkey, {rule: {"refuse": ["2/10m"], "trickle": ["1/10m"]}}) as play:
        assert fill(play, rule, 2) == "refuse"


def solved(play: Play, rule: str) -> str:
    """Send as one who solves the check that is required."""
    to = NEIGHBOURS[play.asks] if rule == "prefix" else NUMBERS[0]
    caller = replace(play.spine.caller, address=f"198.51.{play.asks}.1")
    with pytest.raises(HumanCheckRequired) as caught:
        play.spine.send.send(caller, SendRequest(to=to))
    return play.send(to, caller.address, human_proof=encoded(proof(caught.value.check)))


trips(("app", "reserved"), ("everything", "reserved"), ("country", "reserved"))


@pytest.mark.parametrize("rule", ["app", "everything", "country"])
def test_a_share_of_what_many_use_is_reserved_for_known_callers(valkey: ValkeyServer, rule: str) -> None:
    """Three of four are for strangers; the fourth is not. For a country each kind has a counter of its own."""
    with playing(valkey, {rule: {"refuse": ["4/h"], "reserved": 0.25}}) as play:
        assert fill(play, rule, 3) == "refuse"
        play.known = "vouched"
        told = [SAME[rule](play) for _ in range(5)]
        assert told == (["sms"] * 4 + ["refuse"] if rule == "country" else ["sms"] + ["refuse"] * 4)


trips(("unproven", "ratio"))


def test_what_is_verified_makes_room_for_what_is_not(valkey: ValkeyServer) -> None:
    """At most two unproven, or as many as were verified. A message that was verified is no longer unproven."""
    with playing(valkey, {"unproven": {"refuse": ["2/h"], "ratio": 1}}) as play:
        assert converting(play, 6, verified=4) == ["sms"] * 6
        assert converting(play, 3) == ["sms", "sms", "refuse"]


trips(*(("consecutive", field) for field in ("most", "step", "longest")))


def test_each_wrong_code_makes_the_pause_longer(valkey: ValkeyServer) -> None:
    """Twenty seconds for each, a minute at most, since the last of them (RFC 4226, 7.3). A right code ends it."""
    with playing(valkey, {"consecutive": {"step": "20s", "longest": "1m"}}) as play:
        for wrong, pause in ((1, 20), (1, 40), (3, 60)):
            play.fail(wrong, NUMBERS[0])
            play.later(pause - 15)
            assert play.send(NUMBERS[0]) == "refuse"
            play.later(16)
        assert play.send(NUMBERS[0]) == "sms"
        _, code = play.spine.phone.next()
        play.spine.check.verify(play.spine.caller, play.newest.challenge_id, code)
        play.fail(1, NUMBERS[0])
        play.later(21)
        assert play.send(NUMBERS[0]) == "sms"
    with playing(valkey, {"consecutive": {"most": 10, "step": "0s"}}) as play:
        play.fail(5, NUMBERS[0])
        play.fail(5, NUMBERS[0])
        play.later(86_400)
        assert play.send(NUMBERS[0]) == "refuse"


trips(("standing", "mode"), ("standing", "unverified"))


@pytest.mark.parametrize(("mode", "kinds"), [("enforce", 2), ("watch", 4), ("off", 4)])
def test_a_device_loses_its_standing_by_sends_that_it_does_not_verify(
    valkey: ValkeyServer, mode: str, kinds: int
) -> None:
    """After two in a row it is a stranger's."""
    with playing(valkey, {"standing": {"mode": mode, "unverified": 2}}) as play:
        assert play.send(NUMBERS[0]) == "sms"
        _, code = play.spine.phone.next()
        check, id_ = play.spine.check, play.newest.challenge_id
        token = check.verify(play.spine.caller, id_, code, remember_device=True).device_token
        found = []
        for _ in range(4):
            assert play.send(NUMBERS[0], device_token=token) == "sms"
            found.append(seen(play.spine.store, play.newest.challenge_id).known)
        assert found == ["device"] * kinds + [""] * (4 - kinds)


# Crowds.

CROWD, LIMIT = 100, 7


def counting(rule: str) -> tuple[Guard, Line]:
    """Give rules of which one counts, at most LIMIT in an hour, and its line."""
    number = asked(session="s", address=BROWSER)
    base = only(
        {rule: {"refuse": [f"{LIMIT}/h"]}} if rule != "cooldown" else {"cooldown": {"ladder": ["1h"]}}
    )
    if rule == "money":
        base = replace(base, money=replace(base.money, refuse=(Window(LIMIT, 3600),)))
    [line] = lines_of_send(base, number)
    return base, line


COUNTING = [*SAME, "cooldown"]


def test_a_crowd_of_wrong_and_right_codes_is_counted_exactly(valkey: ValkeyServer) -> None:
    """A hundred at once are a hundred, although they are not sends."""
    names = ("failures", "guessing", "conversion")
    rules = only({name: {"refuse": ["1/h"]} if name != "conversion" else {"sends": 1} for name in names})
    scripts = PatientScripts(valkey, connections=CROWD)
    counters, who = Counters(scripts, valkey), asked()
    now = counters.preview(rules, who).now

    def happen(_: int) -> None:
        counters.limiter.count([*after_failure(rules, who), *after_sending(rules, who, now, 0)])

    assert set(together(CROWD, happen)) == {None}
    counters.scripts.offset += 180_000
    found = {one.rule: (one.value, one.limit) for one in counters.preview(rules, who).findings}
    assert found == {"failures": (CROWD, 1), "guessing": (CROWD, 1), "conversion": (0, CROWD)}
    scripts.close()


def crowd(counters: Counters, rule: str) -> int:
    """Charge one counter from many threads at once; give how many were admitted."""
    rules, _ = counting(rule)
    found = lines_of_send(rules, asked(session="s", address=BROWSER))
    verdicts = together(
        CROWD, lambda n: counters.limiter.charge(found, f"{rule}{n}", Allowance(), PinNames()).verdict
    )
    assert set(verdicts) == {"allow", "refuse"}
    return verdicts.count("allow")


@pytest.mark.parametrize("rule", COUNTING)
def test_a_crowd_is_admitted_exactly_up_to_the_limit(valkey: ValkeyServer, rule: str) -> None:
    """Of a hundred at once, seven pass a limit of seven, and one passes a cooldown."""
    scripts = PatientScripts(valkey, connections=CROWD)
    try:
        assert crowd(Counters(scripts, valkey), rule) == (1 if rule == "cooldown" else LIMIT)
    finally:
        scripts.close()


def test_a_crowd_on_a_cluster_is_admitted_exactly_up_to_the_limit(cluster: Cluster) -> None:
    """All counters of a send share a slot on one of the three nodes."""
    scripts = scripts_at(cluster.url, connections=CROWD)
    try:
        for rule in COUNTING:
            assert crowd(Counters(scripts), rule) == (1 if rule == "cooldown" else LIMIT)
    finally:
        scripts.close()


def test_every_rule_that_counts_has_a_crowd() -> None:
    """A rule that charges sends and has no test above fails here. Guesses charge failures and guessing."""
    everything = replace(Guard(), countries=replace(Guard().countries, allow=("*",)))
    sends = asked(session="s", address=BROWSER)
    charged = {
        line.rule
        for line in lines_of_send(everything, sends)
        if line.kind in {"count", "ladder"} and line.cost
    }
    assert charged == set(COUNTING)
    assert FAMILIARITY == ("", "server", "session", "returning", "device", "vouched")
