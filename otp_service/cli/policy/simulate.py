"""`policy simulate`: what a number would get, and why.

Knows how an answer looks in a terminal. Must not know how it is found.
"""

import json
from pathlib import Path
from typing import Any

import click

from otp_service.bootstrap.editing import PolicyEditing
from otp_service.cli.exit_codes import FAILED
from otp_service.cli.policy.versions import on_policy
from otp_service.cli.refusals import read_file
from otp_service.cli.split import told_split
from otp_service.ops.simulation import Question
from otp_service.policy import CHANNELS

_REGISTERS = "IN"
"""The country whose networks compare texts with registered ones; elsewhere they would hide what a number gets."""


@click.command
@click.argument("to", metavar="NUMBER")
@click.option("--country", metavar="CODE", help="Country of a number without its country code.")
@click.option("--app", metavar="NAME", help="The app that sends; the first if omitted.")
@click.option("--purpose", default="login", show_default=True, metavar="NAME", help="What the send is for.")
@click.option("--channel", type=click.Choice(CHANNELS), help="The channel that the person chose.")
@click.option("--locale", default="", metavar="TAG", help="The language of the person, such as de-CH.")
@click.option("--origin", metavar="URL", help="The page that asks, such as https://app.example.com.")
@click.option("--app-hash", default="", metavar="HASH", help="The hash of the Android app that asks.")
@click.option("--file", type=click.Path(path_type=Path), help="A policy to try instead of the one in force.")
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
        lines += [
            f"  route {one['place']} is for {_toml(one['because'])}" for one in answer.get("passed_over", ())
        ]
        return "\n".join(lines)
    route = answer["route"]
    lines.append(f"route {route['place']}{_name(route['name'])}: {_toml(route['match']) or 'all numbers'}")
    lines += [
        f"  not route {one['place']}: it is for {_toml(one['because'])}" for one in route["passed_over"]
    ]
    if "split" in route:
        lines.append(told_split(**route["split"]))
    for place, step in enumerate(answer["steps"], start=1):
        lines.append(_step(place, step))
        lines += [f"       | {line}" for line in step["text"].splitlines()]
        if number["country"] == _REGISTERS:
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


def _toml(table: dict[str, Any]) -> str:
    """Write a table as it could stand in the policy."""
    return ", ".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in table.items())


def _name(name: str | None) -> str:
    return f" ({name})" if name else ""


def _step(place: int, step: dict[str, Any]) -> str:
    parts = ""
    if "parts" in step:
        parts = f", {step['parts']} {'part' if step['parts'] == 1 else 'parts'}"
    condition = f", if {step['if']}" if "if" in step else ""
    weights = f" by weight, {_toml(step['weights'])}" if "weights" in step else ""
    return (
        f"  {place}. {step['channel']} by {', then '.join(step['upstreams'])}{weights}{condition}, "
        f"in {step['language']}{parts}, price {step['price']:g}: "
        f"until {step['until']}, wait {step['wait']} s, {step['wait_from']}"
    )
