"""The `policy` command: operators show the policy, change it, and ask what a number would get.

Knows options and how answers look in a terminal. Must not know how versions are kept.
"""

import json
from pathlib import Path
from typing import Any

import click

from otp_service.bootstrap.core import Core
from otp_service.bootstrap.foundation import Foundation
from otp_service.cli.session import (
    FAILED,
    author_option,
    content,
    demo_option,
    moment,
    on_core,
    on_foundation,
    reason_option,
)
from otp_service.errors import ConfigurationError, NotFound, PolicyInvalid
from otp_service.ops import simulation
from otp_service.ops.simulation import Question, difference
from otp_service.policy import CHANNELS, Policy
from otp_service.policy.versions import Version

_FILE = click.Path(path_type=Path)


@click.group
@demo_option
def policy() -> None:
    """Show the policy, change it, ask what a number would get."""


def _checked(core: Core, text: str) -> Policy:
    try:
        return core.activation.check(text)
    except ConfigurationError as error:
        raise PolicyInvalid(error.problems) from None


@policy.command
@click.argument("file", type=_FILE)
@on_core
def check(core: Core, *, file: Path) -> None:
    """Report every mistake in a policy, with its line."""
    loaded = _checked(core, content(file))
    print(*(f"warning: {warning}" for warning in loaded.warnings), "the policy could work", sep="\n")


@policy.command
@click.argument("file", type=_FILE)
@click.option("--expect", type=int, metavar="VERSION", help="Apply only if this version is in force.")
@reason_option
@author_option
@on_core
def apply(core: Core, *, file: Path, expect: int | None, reason: str, by: str) -> None:
    """Put a policy in force. Running processes follow within two seconds."""
    text = content(file)
    for warning in _checked(core, text).warnings:
        print(f"warning: {warning}")
    _applied(core, text, by, reason, expect)


def _applied(core: Core, text: str, by: str, reason: str, expected: int | None) -> None:
    version = core.policies.apply(text, author=by, reason=reason, expected=expected)
    print(f"version {version.number} is in force")


def _version(base: Foundation, number: int | None) -> Version:
    found = base.policies.newest() if number is None else base.policies.version(number)
    if found is None:
        raise NotFound("There is no such version of the policy, or no longer.")
    return found


@policy.command
@click.argument("version", type=int, required=False)
@on_foundation
def show(base: Foundation, *, version: int | None) -> None:
    """Print the policy in force, or an earlier version."""
    print(_version(base, version).text, end="")


@policy.command
@on_foundation
def history(base: Foundation) -> None:
    """List the versions: when, who, why."""
    for version in base.policies.history():
        print(f"{version.number:>5}  {moment(version.at)}  {version.author}: {version.reason}")


@policy.command
@click.argument("version", type=int, required=False)
@reason_option
@author_option
@on_core
def rollback(core: Core, *, version: int | None, reason: str, by: str) -> None:
    """Put an earlier version in force again: the one before, if VERSION is left out."""
    earlier = _version(core, version or core.policies.head() - 1)
    _checked(core, earlier.text)
    _applied(core, earlier.text, by, f"rollback to {earlier.number}: {reason}", None)


@policy.command
@click.argument("old")
@click.argument("new", required=False)
@on_foundation
def diff(base: Foundation, *, old: str, new: str | None) -> None:
    """Show what changed from one version to another, or to a file.

    NEW is the version in force if it is left out. A file alone is compared with the version in force.
    """
    if new is None and not old.isdecimal():
        print(difference(_named(base, None), _named(base, old)), end="")
    else:
        print(difference(_named(base, old), _named(base, new)), end="")


def _named(base: Foundation, name: str | None) -> Version:
    if name is None or name.isdecimal():
        return _version(base, None if name is None else int(name))
    return Version(0, content(Path(name)), "", 0, "")


@policy.command
@click.argument("to", metavar="NUMBER")
@click.option("--country", metavar="CODE", help="Country of a number without its country code.")
@click.option("--app", metavar="NAME", help="The app that sends; the first if left out.")
@click.option("--purpose", default="login", show_default=True, metavar="NAME", help="What the send is for.")
@click.option("--channel", type=click.Choice(CHANNELS), help="The channel that the person chose.")
@click.option("--locale", default="", metavar="TAG", help="The language of the person, such as de-CH.")
@click.option("--file", type=_FILE, help="A policy to try instead of the one in force.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
@on_core
def simulate(
    core: Core,
    *,
    to: str,
    country: str | None,
    app: str | None,
    purpose: str,
    channel: str | None,
    locale: str,
    file: Path | None,
    as_json: bool,
) -> int:
    """Say what a number would get and why. Nothing is sent."""
    core.active.refresh()
    loaded = core.policy if file is None else _checked(core, content(file))
    question = Question(to=to, country=country, app=app, purpose=purpose, channel=channel, locale=locale)
    now = core.store.facts.time()
    answer = simulation.simulate(
        loaded,
        question,
        lambda channel, country: core.conversion.learned_wait(now, channel, country),
        core.admission.explain,
    )
    print(json.dumps(answer, indent=2, ensure_ascii=False) if as_json else _told(answer))
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
