"""The `policy` command: operators show the policy, change it, and ask what a number would get.

Knows options and how answers look in a terminal. Must not know how versions are kept.
"""

import json
from pathlib import Path
from typing import Any

import click

from otp_service.bootstrap.activation import configure, misfits
from otp_service.bootstrap.editing import PolicyEditing
from otp_service.bootstrap.operations import Operations
from otp_service.cli.exit_codes import FAILED
from otp_service.cli.refusals import read_file, refusals_shown
from otp_service.cli.session import (
    author_option,
    demo_option,
    environment,
    format_time,
    on_store,
    reason_option,
    working_on,
)
from otp_service.ops.policy_changes import Applied, parse_checked, version_of
from otp_service.ops.simulation import Question, difference
from otp_service.policy import CHANNELS, parse
from otp_service.policy.versions import Version

on_policy = working_on(lambda given: PolicyEditing(configure(given), role="operator"))
"""For a command that checks whether this process could run a policy."""
_FILE = click.Path(path_type=Path)


@click.group
@demo_option
def policy() -> None:
    """Show the policy, change it, ask what a number would get."""


@policy.command
@click.argument("file", type=_FILE)
@demo_option
@refusals_shown
def check(*, file: Path) -> None:
    """Report every mistake in a policy, with its line.

    This needs no settings and no store. A secret that the policy names and the environment lacks is a warning.
    """
    given = environment()
    loaded = parse_checked(read_file(file), parse)
    for warning in (*loaded.warnings, *misfits(loaded, None, given)):
        print(f"warning: {warning}")
    print("the policy is valid")


@policy.command
@click.argument("file", type=_FILE)
@click.option("--expect", type=int, metavar="VERSION", help="Apply only if this version is in force.")
@reason_option
@author_option
@on_policy
def apply(base: PolicyEditing, *, file: Path, expect: int | None, reason: str, by: str) -> None:
    """Put a policy in force. Running processes follow within two seconds.

    A policy that is in force already makes no new version.
    """
    print_applied(base.policy_changes.apply(read_file(file), by=by, reason=reason, expected=expect))


def print_applied(applied: Applied) -> None:
    """Print the warnings of a change, and the version that it put in force."""
    for warning in applied.warnings:
        print(f"warning: {warning}")
    same = "" if applied.changed else "nothing changed: "
    print(f"{same}version {applied.version.number} is in force")


@policy.command
@click.argument("version", type=int, required=False)
@on_store
def show(base: Operations, *, version: int | None) -> None:
    """Print the policy in force, or an earlier version."""
    print(version_of(base.policies, version).text, end="")


@policy.command
@on_store
def history(base: Operations) -> None:
    """List the newest versions: when, who, why."""
    versions = base.policies.history()
    if not versions:
        print("no policy is in force yet")
    for version in versions:
        print(f"{version.number:>5}  {format_time(version.at)}  {version.author}: {version.reason}")


@policy.command
@click.argument("version", type=int, required=False)
@reason_option
@author_option
@on_policy
def rollback(base: PolicyEditing, *, version: int | None, reason: str, by: str) -> None:
    """Put an earlier version in force again.

    That is the version before the newest if VERSION is omitted.
    """
    print_applied(base.policy_changes.rollback(version, by=by, reason=reason))


@policy.command
@click.argument("old")
@click.argument("new", required=False)
@on_store
def diff(base: Operations, *, old: str, new: str | None) -> None:
    """Show what changed from one version to another, or to a file.

    NEW is the version in force if it is omitted. A file alone is compared with the version in force.
    """
    pair = (None, old) if new is None and not old.isdecimal() else (old, new)
    print(difference(*(_named(base, name) for name in pair)) or "no differences\n", end="")


def _named(base: Operations, name: str | None) -> Version:
    if name is None or name.isdecimal():
        return version_of(base.policies, None if name is None else int(name))
    return Version(0, read_file(Path(name)), "", 0, "")


@policy.command
@click.argument("to", metavar="NUMBER")
@click.option("--country", metavar="CODE", help="Country of a number without its country code.")
@click.option("--app", metavar="NAME", help="The app that sends; the first if omitted.")
@click.option("--purpose", default="login", show_default=True, metavar="NAME", help="What the send is for.")
@click.option("--channel", type=click.Choice(CHANNELS), help="The channel that the person chose.")
@click.option("--locale", default="", metavar="TAG", help="The language of the person, such as de-CH.")
@click.option("--origin", metavar="URL", help="The page that asks, such as https://app.example.com.")
@click.option("--app-hash", default="", metavar="HASH", help="The hash of the Android app that asks.")
@click.option("--file", type=_FILE, help="A policy to try instead of the one in force.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
@on_policy
def simulate(
    base: PolicyEditing,
    *,
    to: str,
    country: str | None,
    app: str | None,
    purpose: str,
    channel: str | None,
    locale: str,
    origin: str | None,
    app_hash: str,
    file: Path | None,
    as_json: bool,
) -> int:
    """Say what a number would get and why. Nothing is sent."""
    loaded = base.policy_changes.check(read_file(file)) if file else base.policy_in_force()
    question = Question(
        to=to,
        country=country,
        app=app,
        purpose=purpose,
        channel=channel,
        locale=locale,
        origin=origin,
        app_hash=app_hash,
    )
    answer = base.simulator.simulate(loaded, question)
    print(json.dumps(answer, indent=2, ensure_ascii=False) if as_json else _as_text(answer))
    return FAILED if answer["problem"] else 0


def _as_text(answer: dict[str, Any]) -> str:
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
        lines += _registered(step)
    lines += [
        f"guard, {one['rule']} ({one['mode']}): {', '.join(one['limits']) or 'checked'}"
        for one in answer["guard"]
    ]
    lines += [_finding(one) for one in answer["verdict"]["findings"]]
    return "\n".join(lines)


def _registered(step: dict[str, Any]) -> list[str]:
    lines = []
    for one in step.get("registered", ()):
        lines.append(f"       template {one['template_id']} of {one['upstream']}, under which can leave:")
        lines += [f"       = {line}" for text in one["texts"] for line in text.splitlines()]
    return lines


def _finding(one: dict[str, Any]) -> str:
    return (
        f"guard, {one['rule']}: {one['value']} of {one['limit']} in {one['seconds']:.0f} s, so {one['level']}"
    )


def _name(name: str | None) -> str:
    return f" ({name})" if name else ""


def _step(place: int, step: dict[str, Any]) -> str:
    parts = ""
    if "parts" in step:
        parts = f", {step['parts']} {'part' if step['parts'] == 1 else 'parts'}"
    condition = f", if {step['if']}" if "if" in step else ""
    weights = f" by weight {step['weights']}" if "weights" in step else ""
    return (
        f"  {place}. {step['channel']} by {', then '.join(step['upstreams'])}{weights}{condition}, "
        f"in {step['language']}{parts}: until {step['until']}, wait {step['wait']} s, {step['wait_from']}"
    )
