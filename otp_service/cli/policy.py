"""The `policy` command: operators look at the policy, change it, and ask what a number would get.

Knows options and how answers look in a terminal. Must not know how versions are kept.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from otp_service.bootstrap.core import Core
from otp_service.cli import session as terminal
from otp_service.cli.session import FAILED, author, content, moment, who_and_why
from otp_service.errors import ConfigurationError, NotFound, PolicyInvalid
from otp_service.ops.simulation import Question, difference, simulate
from otp_service.policy import CHANNELS, Policy
from otp_service.policy.versions import Version


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of the command and their options."""
    action = terminal.actions(parser)
    action("check", _check, "name every mistake of a policy").add_argument("file", type=Path)
    apply = action("apply", _apply, "put a policy in force; running processes follow within two seconds")
    apply.add_argument("file", type=Path)
    apply.add_argument("--expect", type=int, metavar="VERSION", help="only if this version is in force")
    who_and_why(apply)
    show = action("show", _show, "print the policy in force, or an earlier version")
    show.add_argument("version", type=int, nargs="?")
    action("history", _history, "list the versions: when, who, why")
    rollback = action("rollback", _rollback, "put an earlier version in force again")
    rollback.add_argument("version", type=int, nargs="?", help="the one before the one in force if left out")
    who_and_why(rollback)
    diff = action("diff", _diff, "show what changed from one version to another, or to a file")
    diff.add_argument("old", help="a version; or only a file, to see what it would change")
    diff.add_argument("new", nargs="?", help="a version or a file; the one in force if left out")
    simulation = action("simulate", _simulate, "say what a number would get and why; nothing is sent")
    simulation.add_argument("to", metavar="NUMBER")
    for name in ("country", "app"):
        simulation.add_argument(f"--{name}")
    simulation.add_argument("--purpose", default="login")
    simulation.add_argument("--channel", choices=CHANNELS)
    simulation.add_argument("--locale", default="")
    simulation.add_argument("--file", type=Path, help="a policy to try instead of the one in force")
    simulation.add_argument("--json", action="store_true", help="print the whole answer as JSON")


def _checked(core: Core, text: str) -> Policy:
    try:
        return core.activation.check(text)
    except ConfigurationError as error:
        raise PolicyInvalid(error.problems) from None


def _check(core: Core, chosen: argparse.Namespace) -> int:
    loaded = _checked(core, content(chosen.file))
    print(*(f"warning: {warning}" for warning in loaded.warnings), "the policy could work", sep="\n")
    return 0


def _apply(core: Core, chosen: argparse.Namespace) -> int:
    text = content(chosen.file)
    for warning in _checked(core, text).warnings:
        print(f"warning: {warning}")
    return _applied(core, text, chosen, chosen.reason, chosen.expect)


def _applied(core: Core, text: str, chosen: argparse.Namespace, reason: str, expected: int | None) -> int:
    version = core.policies.apply(text, author=author(chosen), reason=reason, expected=expected)
    print(f"version {version.number} is in force")
    return 0


def _version(core: Core, number: int | None) -> Version:
    found = core.policies.newest() if number is None else core.policies.version(number)
    if found is None:
        raise NotFound("There is no such version of the policy, or no longer.")
    return found


def _show(core: Core, chosen: argparse.Namespace) -> int:
    print(_version(core, chosen.version).text, end="")
    return 0


def _history(core: Core, _: argparse.Namespace) -> int:
    for version in core.policies.history():
        print(f"{version.number:>5}  {moment(version.at)}  {version.author}: {version.reason}")
    return 0


def _rollback(core: Core, chosen: argparse.Namespace) -> int:
    earlier = _version(core, chosen.version or core.policies.head() - 1)
    _checked(core, earlier.text)
    return _applied(core, earlier.text, chosen, f"rollback to {earlier.number}: {chosen.reason}", None)


def _diff(core: Core, chosen: argparse.Namespace) -> int:
    old, new = chosen.old, chosen.new
    if new is None and not old.isdecimal():
        old, new = None, old  # what a file would change
    print(difference(_named(core, old), _named(core, new)), end="")
    return 0


def _named(core: Core, name: str | None) -> Version:
    if name is None or name.isdecimal():
        return _version(core, None if name is None else int(name))
    return Version(0, content(Path(name)), "", 0, "")


def _simulate(core: Core, chosen: argparse.Namespace) -> int:
    core.active.refresh()
    loaded = core.policy if chosen.file is None else _checked(core, content(chosen.file))
    question = Question(
        to=chosen.to,
        country=chosen.country,
        app=chosen.app,
        purpose=chosen.purpose,
        channel=chosen.channel,
        locale=chosen.locale,
    )
    now = core.store.facts.time()
    answer = simulate(
        loaded,
        question,
        lambda channel, country: core.conversion.learned_wait(now, channel, country),
        core.admission.explain,
    )
    print(json.dumps(answer, indent=2, ensure_ascii=False) if chosen.json else _told(answer))
    return FAILED if answer["problem"] else 0


def _told(answer: dict[str, Any]) -> str:
    number = answer["number"]
    lines = [f"{number['to']}: {number['type']} in {number['country'] or 'no country'}, app {answer['app']}"]
    if answer["problem"]:
        lines.append(f"nothing would be sent: {answer['problem']}")
        lines += [f"  route {one['place']} is for {one['because']}" for one in answer.get("passed_over", ())]
        return "\n".join(lines)
    route = answer["route"]
    lines.append(f"route {route['place']}{_name(route['name'])}: {route['match'] or 'all numbers'}")
    lines += [f"  not route {one['place']}: it is for {one['because']}" for one in route["passed_over"]]
    for place, step in enumerate(answer["steps"], start=1):
        lines.append(_step(place, step))
        lines += [f"       | {line}" for line in step["text"].splitlines()]
    lines += [
        f"guard, {one['rule']} ({one['mode']}): {', '.join(one['limits']) or 'asked'}"
        for one in answer["guard"]
    ]
    lines += [_found(one) for one in answer["verdict"]["findings"]]
    return "\n".join(lines)


def _found(one: dict[str, Any]) -> str:
    return (
        f"guard, {one['rule']}: {one['value']} of {one['limit']} in {one['seconds']:.0f} s, so {one['level']}"
    )


def _name(name: str | None) -> str:
    return f" ({name})" if name else ""


def _step(place: int, step: dict[str, Any]) -> str:
    parts = f", {step['parts']} part{'s'[: step['parts'] > 1]}" if "parts" in step else ""
    condition = f", if {step['if']}" if "if" in step else ""
    weights = f" by weight {step['weights']}" if "weights" in step else ""
    return (
        f"  {place}. {step['channel']} by {', then '.join(step['upstreams'])}{weights}{condition}: "
        f"until {step['until']}, at most {step['wait']} s ({step['wait_from']}), in {step['language']}{parts}"
    )
