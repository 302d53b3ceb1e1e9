"""Checks over several tables: contradictions between them, and warnings about likely mistakes.

Pure. Must not report what a mistake in one table has caused: the value of a broken place is unknown.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from otp_service.phone import NETWORKS, UNKNOWN, calling_code, type_of_mobiles
from otp_service.policy.bounds import MOST_TEXTS
from otp_service.policy.draft import Draft, Findings
from otp_service.policy.limits import EVERYWHERE, MOST_TIERS, Budget
from otp_service.policy.model import App, Match, Route, StepRule, Upstream
from otp_service.policy.places import join
from otp_service.policy.reach import Reach
from otp_service.policy.registered import comparisons

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_NAME_RULE = "a name has up to 32 lowercase letters, digits, - and _"
NO_MOBILES = "serves mobile numbers of"
"""Part of a warning that a deployment should not start with."""
_REPORTS_READING = frozenset({"whatsapp", "rcs", "mip"})
_EXAMPLE = re.compile("0{56}.*")
_SAME_PLAN: Mapping[str, Sequence[str]] = {
    "AU": ("CC", "CX"),
    "FI": ("AX",),
    "GB": ("GG", "IM", "JE"),
    "NO": ("SJ",),
}
"""Countries with others in their national numbering plan, as the metadata of numbers groups them."""


def report_contradictions(draft: Draft, findings: Findings) -> None:
    """Add all contradictions to `findings`."""
    for kind, names in (("app", draft.apps), ("upstream", draft.upstreams), ("operator", draft.operators)):
        for name in names:
            if not _NAME.fullmatch(name):
                findings.add(join(kind, name), _NAME_RULE)
    reach = Reach(
        [route.match for route in draft.routes],
        unknown=lambda at: findings.is_broken(f"route[{at}].match"),
    )
    _check_keys(draft, findings)
    _check_operators(draft, findings)
    _check_registered(draft, findings)
    _check_timeouts(draft, findings)
    _check_countries(draft, reach, findings)
    _check_tiers(draft, findings)
    _check_route_names(draft, findings)
    _check_payments(draft, findings)
    for place, route in enumerate(draft.routes):
        _check_match(draft, f"route[{place}].match", route.match, findings)
        _check_reach(place, reach, findings)
        _check_steps(draft, f"route[{place}]", route, findings)


def _hashes(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield the place and hash of each key and secret."""
    for name, app in draft.apps.items():
        for kind, digests in (("publishable_keys", app.publishable_keys), ("secret_keys", app.secret_keys)):
            yield from _listed(f"{join('app', name)}.{kind}", digests)
    for name, operator in draft.operators.items():
        yield from _listed(f"{join('operator', name)}.keys", operator.keys)
    for name, upstream in draft.upstreams.items():
        if upstream.receipts:
            yield from _listed(f"{join('upstream', name)}.receipts.secrets", upstream.receipts.secrets)


def _listed(place: str, values: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for at, value in enumerate(values):
        yield f"{place}[{at}]", value


def _check_keys(draft: Draft, findings: Findings) -> None:
    seen: dict[str, str] = {}
    for place, digest in _hashes(draft):
        if digest in seen:
            findings.add(place, f"{digest[:8]}... is used twice, see {seen[digest]}")
        seen.setdefault(digest, place)


def _check_operators(draft: Draft, findings: Findings) -> None:
    """Find operators who are limited to an app that is none: who means one app must not get another, or all."""
    for name, operator in draft.operators.items():
        for place, app in _listed(f"{join('operator', name)}.apps", operator.apps):
            if app not in draft.apps:
                findings.add(place, f"there is no app {app}")


def _check_registered(draft: Draft, findings: Findings) -> None:
    """Find so many ids of registered templates that listing their texts would take seconds."""
    total = 0
    for name, upstream in draft.upstreams.items():
        if upstream.sms:
            total += comparisons(draft.apps, draft.templates.get("sms", {}), upstream.sms)
        if total > MOST_TEXTS:
            place = f"{join('upstream', name)}.sms.template_ids"
            findings.add(place, "has too many entries for so many apps, languages and purposes")
            return


def _check_timeouts(draft: Draft, findings: Findings) -> None:
    for name, upstream in draft.upstreams.items():
        place = join("upstream", name)
        broken = any(findings.is_broken(f"{place}.{which}_timeout") for which in ("connect", "total"))
        if upstream.connect_timeout > upstream.total_timeout and not broken:
            findings.add(f"{place}.connect_timeout", "must not be above total_timeout")


def _check_tiers(draft: Draft, findings: Findings) -> None:
    """Find budgets with too many limits: an app's lists together with those that it takes over."""
    own = [(f"{join('app', name)}.guard", app.guard) for name, app in draft.apps.items() if app.guard]
    for table, guard in (("guard", draft.guard), *own):
        for name, rule in guard.rules().items():
            if isinstance(rule, Budget) and sum(1 for _ in rule.tiers()) > MOST_TIERS:
                findings.add(f"{table}.{name}", f"must have at most {MOST_TIERS} limits in all")


def _check_countries(draft: Draft, reach: Reach, findings: Findings) -> None:
    """Find allowed countries that no route serves, and apps that cannot send anywhere."""
    for name, app in draft.apps.items():
        broken = findings.is_broken("guard") or findings.is_broken(f"{join('app', name)}.guard")
        if not (app.guard or draft.guard).countries.allow and not broken:
            findings.add(
                "guard.countries.allow",
                'names no country, so nothing would be sent; use "*" for all countries',
            )
            return
        _check_served(draft, app, reach, findings)


def _check_served(draft: Draft, app: App, reach: Reach, findings: Findings) -> None:
    if findings.is_unread("route") or any(
        findings.is_broken(f"route[{at}].match") for at in range(len(draft.routes))
    ):
        return
    own = reach.of_app(app.name)
    for place, country in _allowed(draft, app):
        if not reach.meeting(country) & own:
            findings.add(place, f"no route of app {app.name} serves {country}")


def _allowed(draft: Draft, app: App) -> Iterator[tuple[str, str]]:
    """Yield the place and name of each country that an app may send to, as far as they are named."""
    guard = app.guard or draft.guard
    differs = app.guard is not None and app.guard.countries != draft.guard.countries
    table = f"{join('app', app.name)}.guard.countries.allow" if differs else "guard.countries.allow"
    for place, country in _listed(table, guard.countries.allow):
        if country not in {EVERYWHERE, *NETWORKS}:
            yield place, country


def _check_route_names(draft: Draft, findings: Findings) -> None:
    seen: dict[str, int] = {}
    for at, name in enumerate(route.name for route in draft.routes):
        if name in seen:
            findings.add(f"route[{at}].name", f"{name} is used twice, see route[{seen[name]}]")
        elif name and not _NAME.fullmatch(name):
            findings.add(f"route[{at}].name", _NAME_RULE)
        if name:
            seen.setdefault(name, at)


def _check_match(draft: Draft, place: str, match: Match, findings: Findings) -> None:
    if not findings.is_unread("app"):
        for here, app in _listed(f"{place}.app", match.apps):
            if app not in draft.apps:
                findings.add(here, f"there is no app {app}")
    if match.countries:
        codes = {calling_code(country) for country in match.countries}
        for here, prefix in _listed(f"{place}.prefix", match.prefixes):
            if not any(prefix.startswith(code) or code.startswith(prefix) for code in codes):
                findings.add(here, f"no number of these countries begins with {prefix}")


def _check_reach(at: int, reach: Reach, findings: Findings) -> None:
    """Find a route that is never reached, because earlier routes serve all its countries."""
    if findings.is_broken(f"route[{at}].match") or not (serving := reach.covering(at)):
        return
    named = " and ".join(f"route[{earlier}]" for earlier in sorted(serving))
    verb = "serves" if len(serving) == 1 else "serve"
    findings.add(f"route[{at}]", f"is never reached, {named} already {verb} everything it matches")


def _check_steps(draft: Draft, place: str, route: Route, findings: Findings) -> None:
    certain = 0
    for at, step in enumerate(route.steps):
        here = f"{place}.steps[{at}]"
        _check_accounts(draft, here, step, findings)
        if step.until == "read" and step.channel and step.channel not in _REPORTS_READING:
            findings.add(f"{here}.until", f"{step.channel} does not report that a message was read")
        broken = findings.is_unread(here) or findings.is_broken("challenge.max_sends")
        if certain >= draft.challenge.max_sends and not broken:
            findings.add(here, f"is never reached, challenge.max_sends is {draft.challenge.max_sends}")
        if not step.condition and not findings.is_broken(f"{here}.if"):
            certain += 1
    _check_waits(draft, place, route, findings)


def _check_accounts(draft: Draft, place: str, step: StepRule, findings: Findings) -> None:
    for at, name in enumerate(step.upstreams):
        table = f"{join('upstream', name)}.{step.channel}"
        if name not in draft.upstreams:
            if not findings.is_unread("upstream"):
                findings.add(_account_place(place, step, at), f"there is no upstream {name}")
        elif step.channel and not findings.is_broken(table) and not draft.upstreams[name].has(step.channel):
            findings.add(place, f"upstream {name} has no {step.channel} table")


def _check_payments(draft: Draft, findings: Findings) -> None:
    """Find steps whose words the vendor keeps, for an app whose messages must say amount and payee."""
    for app in draft.apps.values():
        for at, route in draft.routes_of(app.name) if app.binding else ():
            for place, step in enumerate(route.steps):
                for name in _saying_code_only(draft, step):
                    findings.add(
                        f"route[{at}].steps[{place}]",
                        f"{step.channel} of {name} cannot say amount and payee for app {app.name}",
                    )


def _saying_code_only(draft: Draft, step: StepRule) -> list[str]:
    known = [name for name in step.upstreams if name in draft.upstreams]
    return [name for name in known if _says_code_only(draft.upstreams[name], step.channel)]


def _says_code_only(upstream: Upstream, channel: str) -> bool:
    return (
        channel == "whatsapp"
        or (channel == "voice" and upstream.voice is not None and upstream.voice.mode == "flow")
        or (channel == "mip" and upstream.mip is not None and upstream.mip.template is not None)
    )


def _account_place(place: str, step: StepRule, at: int) -> str:
    if step.weights:
        return join(f"{place}.upstream", step.upstreams[at])
    return f"{place}.upstream[{at}]" if len(step.upstreams) > 1 else f"{place}.upstream"


def _check_waits(draft: Draft, place: str, route: Route, findings: Findings) -> None:
    """Find waits that outlast the challenge, alone or together. The last step's wait delays nothing."""
    if findings.is_broken("challenge.ttl"):
        return
    ttl, spent = draft.challenge.ttl, 0
    for at, step in enumerate(route.steps):
        here = f"{place}.steps[{at}].wait"
        if findings.is_broken(here) or (step.wait is None and findings.is_broken("challenge.auto_wait")):
            continue
        wait = draft.challenge.auto_wait[1] if step.wait is None else step.wait
        if wait >= ttl:
            findings.add(here, "must be shorter than challenge.ttl")
            continue
        if spent < ttl <= spent + wait and at < len(route.steps) - 1:
            findings.add(
                here,
                f"the waits up to this step take {spent + wait} seconds, challenge.ttl allows at most {ttl - 1}",
            )
        spent += wait


# Warnings about a document without contradictions.


def report_warnings(draft: Draft, findings: Findings) -> None:
    """Add warnings about settings that work, but probably not as intended."""
    for place, digest in _hashes(draft):
        if _EXAMPLE.fullmatch(digest):
            findings.add(place, "is the hash of the example, which no key has")
    for at, route in enumerate(draft.routes):
        if all(step.condition for step in route.steps):
            findings.add(
                f"route[{at}].steps", "every step has a condition, so some numbers may get no message"
            )
    _warn_of_mobiles(draft, findings)
    _warn_of_guard(draft, findings)
    _warn_of_islands(draft, findings)
    _warn_of_cooldown(draft, findings)


def _warn_of_mobiles(draft: Draft, findings: Findings) -> None:
    """Find countries whose routes are for other lines only, such as landlines."""
    reach = Reach([route.match for route in draft.routes])
    for app in draft.apps.values():
        own = reach.of_app(app.name)
        for place, country in _allowed(draft, app):
            kind = type_of_mobiles(country)
            if not reach.meeting(country) & own & reach.of_type(kind) and kind != UNKNOWN:
                findings.add(place, f"no route of app {app.name} {NO_MOBILES} {country}")


def _enforced(draft: Draft, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the place and value of an enforced rule: the common one, then those of apps that differ."""
    common = getattr(draft.guard, name)
    places = {f"guard.{name}": common}
    for app in draft.apps.values():
        if app.guard and getattr(app.guard, name) != common:
            places[f"{join('app', app.name)}.guard.{name}"] = getattr(app.guard, name)
    return ((place, rule) for place, rule in places.items() if rule.mode == "enforce")


def _warn_of_guard(draft: Draft, findings: Findings) -> None:
    """Find limits of a number that refuse what `[challenge]` promises."""
    rules = draft.challenge
    for place, budget in _enforced(draft, "number"):
        for at, window in enumerate(budget.refuse):
            if window.seconds >= rules.ttl and window.limit < rules.max_sends:
                findings.add(
                    f"{place}.refuse[{at}]",
                    f"allows fewer messages than challenge.max_sends, which is {rules.max_sends}",
                )
    for place, cooldown in _enforced(draft, "cooldown"):
        for at, pause in enumerate(rules.cooldown[: rules.max_sends - 1]):
            least = cooldown.ladder[min(at, len(cooldown.ladder) - 1)]
            if pause < least:
                findings.add(
                    f"challenge.cooldown[{at}]",
                    f"is shorter than the {least} s that {place}.ladder requires",
                )


def _warn_of_islands(draft: Draft, findings: Findings) -> None:
    """Find countries that share a numbering plan with others that are not allowed."""
    for place, rule in _enforced(draft, "countries"):
        for country in () if EVERYWHERE in rule.allow else rule.allow:
            missing = [other for other in _SAME_PLAN.get(country, ()) if other not in rule.allow]
            if missing:
                findings.add(
                    f"{place}.allow",
                    f"allows {country} without {', '.join(missing)}, whose numbers also begin with "
                    f"{calling_code(country)} and look the same to people",
                )


def _warn_of_cooldown(draft: Draft, findings: Findings) -> None:
    """Find cooldowns that end after the challenge."""
    rules = draft.challenge
    for at, pause in enumerate(rules.cooldown[: rules.max_sends - 1]):
        if pause >= rules.ttl:
            findings.add(
                f"challenge.cooldown[{at}]", "no resend is possible after it, as challenge.ttl is not longer"
            )
