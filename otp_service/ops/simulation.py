"""What a number would get and why. Nothing is sent, charged or counted.

Knows routes, steps, texts and what the guard would decide. Must not know who asks, or how an answer is shown.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from otp_service import phone
from otp_service.errors import OtpError
from otp_service.guard.decision import Decision
from otp_service.guard.rules import GuardedSend, limits_of, lines_of_send
from otp_service.messages import templates
from otp_service.messages.payments import BY_NAME
from otp_service.phone import Number
from otp_service.policy import App, Guard, Learned, Policy, Route, StepRule
from otp_service.policy.registered import registered_texts

_EXAMPLE_ADDRESS = "192.0.2.1"
_WORDS = {
    "countries": "country",
    "prefixes": "prefix",
    "types": "type",
    "apps": "app",
    "purposes": "purpose",
}
_SENDS = ("allow", "cheap")
"""Verdicts with which a code goes out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The send to simulate."""

    to: str
    country: str | None = None
    app: str | None = None
    purpose: str = "login"
    channel: str | None = None
    locale: str = ""
    origin: str | None = None
    app_hash: str = ""


class Simulator:
    """Simulates sends with the conversion and the guard's counters as they are now."""

    def __init__(
        self,
        *,
        learned_wait: Callable[[Callable[[], int], str, str], float | None],
        decide: Callable[[Guard, GuardedSend], Decision],
        clock: Callable[[], int],
    ) -> None:
        """`learned_wait` takes a clock, a channel and a country; `clock` gives the store's time in milliseconds."""
        self._learned_wait = learned_wait
        self._decide = decide
        self._clock = clock

    def simulate(self, policy: Policy, question: Question) -> dict[str, Any]:
        """Simulate a send. Raises InvalidNumber, StoreUnavailable; any other refusal is part of the answer."""
        return simulate(
            policy,
            question,
            lambda channel, country: self._learned_wait(self._clock, channel, country),
            self._decide,
        )


def simulate(
    policy: Policy, question: Question, learned: Learned, explain: Callable[[Guard, GuardedSend], Decision]
) -> dict[str, Any]:
    """Simulate a send; `explain` returns what the guard would decide now.

    Raises InvalidNumber; any other refusal is part of the answer.
    """
    number = phone.parse(question.to, question.country, possible=True)
    name = question.app or next(iter(policy.apps))
    shown: dict[str, Any] = {
        "number": {"to": phone.mask(number.e164), "country": number.country, "type": number.type},
        "app": name,
        "route": None,
        "steps": [],
        "guard": [],
        "verdict": None,
        "problem": None,
    }
    app = policy.apps.get(name)
    if app is None:
        return shown | {"problem": f"there is no app {name}"}
    guard_rules = policy.guard_of(name)
    asked = _asked(number, name, question, question.channel or "sms")
    decision = explain(guard_rules, asked)
    shown["guard"] = list(limits_of(guard_rules, lines_of_send(guard_rules, asked)))
    shown["verdict"] = _verdict(decision)
    try:
        place, route = policy.route_for(number, name, question.purpose)
        policy.plan(number, name, question.purpose, question.channel, dice=lambda: 0.0, learned=learned)
    except OtpError as refusal:
        over = list(_passed_over(policy.routes, number, name, question.purpose))
        return shown | {"problem": f"{refusal.code}: {refusal.detail}", "passed_over": over}
    over = list(_passed_over(policy.routes[:place], number, name, question.purpose))
    rules = _taken(policy, route, question.channel)
    problem = (
        f"the guard: {decision.verdict}, by {decision.deciding.rule}"
        if decision.verdict not in _SENDS
        else None
    )
    return shown | {
        "problem": problem,
        "route": {"place": place, **_route(route, question.channel), "passed_over": over},
        "steps": [_step(policy, app, rule, number, question, learned) for rule in rules],
        "challenge": asdict(policy.challenge) | {"chosen": question.channel is not None},
    }


def _taken(policy: Policy, route: Route, channel: str | None) -> list[StepRule]:
    """List the steps in their order: a chosen channel comes first, or alone."""
    after_choice = route.after_choice or policy.challenge.after_choice
    chosen = [rule for rule in route.steps if rule.channel == channel]
    if channel and after_choice == "stop":
        return chosen[:1]
    return chosen + [rule for rule in route.steps if rule.channel != channel]


def _route(route: Route, channel: str | None) -> dict[str, Any]:
    """Show a route, with its split unless a channel is chosen, which leaves nothing to draw."""
    shown = {"name": route.name or None, "match": _match(route)}
    return shown | {"split": asdict(route.split)} if route.split and channel is None else shown


def _match(route: Route) -> dict[str, list[str]]:
    """Show what a route matches, in the words of the policy; empty for all numbers."""
    return {_WORDS[part]: list(wanted) for part, wanted in asdict(route.match).items() if wanted}


def _passed_over(
    routes: tuple[Route, ...], number: Number, app: str, purpose: str
) -> Iterator[dict[str, Any]]:
    """Yield for each route the parts of its match that do not fit this send."""
    have = {
        "country": lambda wanted: number.country in wanted,
        "prefix": lambda wanted: number.e164.startswith(tuple(wanted)),
        "type": lambda wanted: number.type in wanted,
        "app": lambda wanted: app in wanted,
        "purpose": lambda wanted: purpose in wanted,
    }
    for place, route in enumerate(routes):
        match = _match(route)
        yield {"place": place, "because": {part: w for part, w in match.items() if not have[part](w)}}


def _step(
    policy: Policy, app: App, rule: StepRule, number: Number, question: Question, learned: Learned
) -> dict[str, Any]:
    ttl = policy.challenge.ttl
    written = templates.write(
        rule.channel,
        policy.templates,
        question.locale,
        number.country,
        code="0" * policy.challenge.code_length,
        brand=app.brand,
        minutes=ttl // 60,
        app_hash=question.app_hash,
        host=app.host(question.origin),
        lines=rule.lines != "off",
        payment=BY_NAME if app.binding else None,
    )
    step: dict[str, Any] = {
        "channel": rule.channel,
        "upstreams": list(rule.upstreams),
        "wait": policy.wait(rule, number.country, learned),
        "wait_from": _wait_from(policy, rule, number, learned),
        "until": rule.until,
        "price": policy.guard_of(app.name).money.price(rule.channel, number.country),
        "language": written.template or written.language,
        "text": written.text,
    }
    if rule.weights:
        step["weights"] = dict(zip(rule.upstreams, rule.weights, strict=True))
    if rule.condition:
        step["if"] = rule.condition
    if rule.channel == "sms":
        size = templates.size(written.text)
        step |= {"parts": size.parts, "unicode": size.unicode, "lines": rule.lines}
        step["registered"] = _registered(policy, app, rule, question.purpose, written.template)
    return step


def _registered(
    policy: Policy, app: App, rule: StepRule, purpose: str, template: str
) -> list[dict[str, Any]]:
    """Show the id of the registered template at each account, and every text that can leave under it."""
    shown = []
    for name in dict.fromkeys(rule.upstreams):
        sms = policy.upstreams[name].sms
        if sms and (template_id := sms.template_id_of(template, app.name, purpose)):
            under = dict.fromkeys(_texts_under(policy, template_id, lines=rule.lines != "off"))
            shown.append({"upstream": name, "template_id": template_id, "texts": list(under)})
    return shown


def _texts_under(policy: Policy, template_id: str, *, lines: bool) -> Iterator[str]:
    for account in policy.upstreams.values():
        for each in registered_texts(policy.apps, policy.templates, account.sms, lines=lines):
            if each.template_id == template_id:
                yield each.text


def _wait_from(policy: Policy, rule: StepRule, number: Number, learned: Learned) -> str:
    if rule.wait is not None:
        return "set in the policy"
    low, high = policy.challenge.auto_wait
    seconds = learned(rule.channel, number.country)
    if seconds is None:
        return f"too few verifications yet: the upper bound of auto_wait, {high} s"
    return f"9 of 10 verified within {seconds:.0f} s over {rule.channel} in {number.country}, kept in {low} to {high} s"


def _asked(number: Number, app: str, question: Question, channel: str) -> GuardedSend:
    """Simulate a browser that is not known: every rule applies to it."""
    return GuardedSend(
        number=number, app=app, purpose=question.purpose, channel=channel, address=_EXAMPLE_ADDRESS
    )


def _verdict(decision: Decision) -> dict[str, Any]:
    """Show what the guard would decide now, and why."""
    return {"verdict": decision.verdict, "findings": [asdict(one) for one in decision.findings]}
