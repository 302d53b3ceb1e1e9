"""The `challenges` command: operators find challenges and refused sends, read what happened to one, and export all.

Knows options and how a story looks in a terminal. Must not know how a story is found.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from otp_service import phone
from otp_service.bootstrap.operations import Operations
from otp_service.cli.exit_codes import FAILED
from otp_service.cli.options import Duration, Options, Result, author_option, demo_option, format_time
from otp_service.cli.session import on_store
from otp_service.history.note import What
from otp_service.ops.stories import Search

PAGE = 100
"""Stories that a search shows at most."""
_MORE = f"These are the newest {PAGE}; POST /ops/challenges/search gives the others, page by page."
_SECOND = 1000


def _json_option(act: Callable[Options, Result]) -> Callable[Options, Result]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(act)


@click.group
@demo_option
def challenges() -> None:
    """Find challenges and refused sends, and show what happened."""


@challenges.command("find")
@click.argument("what", metavar="NUMBER|REFERENCE|ID")
@click.option("--country", metavar="CODE", help="Country of a number without its country code.")
@_json_option
@author_option
@on_store
def search(base: Operations, *, what: str, country: str | None, as_json: bool, by: str) -> int:
    """Find by a number, a reference, a challenge's id or a request's id; the newest come first."""
    found, more = list[dict[str, Any]](), None
    for search in _searches(what, country):
        if not found:
            page = base.stories.search(search, by=by)
            found, more = page["challenges"], page["next_cursor"]
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        print("\n".join(map(_line, found)) if found else "nothing is known of it")
    if more:
        print(_MORE, file=sys.stderr)
    return 0 if found else FAILED


def _searches(what: str, country: str | None) -> list[Search]:
    """List what a text may mean, the likeliest first."""
    if country or re.fullmatch(r"\+[\d ().-]{5,}", phone.as_read(what)):
        return [Search(number=what, country=country, limit=PAGE)]
    return [
        Search(challenge_id=what),
        Search(request_id=what, limit=PAGE),
        Search(reference=what, limit=PAGE),
    ]


@challenges.command
@click.argument("id_", metavar="ID")
@_json_option
@on_store
def show(base: Operations, *, id_: str, as_json: bool) -> None:
    """Show what happened to a challenge or a refused send, in order of time."""
    told = base.stories.read_timeline(id_)
    if as_json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
        return
    print(_line(told))
    for name in ("purpose", "reference", "route", "known", "policy"):
        if told[name]:
            print(f"  {name}: {told[name]}")
    begun = told["at"]
    for one in told["timeline"]:
        print(f"  {(one['at'] - begun) / _SECOND:+9.3f} s  {_told(one)}")


@challenges.command
@click.option(
    "--since", type=Duration(1), default="24h", show_default=True, help="How far back to begin, such as 7d."
)
@author_option
@on_store
def export(base: Operations, *, since: int, by: str) -> None:
    """Print every challenge and refused send as a line of JSON, the newest first; see docs/history.md."""
    begin = base.store.facts.time() - since * _SECOND
    for record in base.stories.export(begin, by=by):
        print(json.dumps(record, ensure_ascii=False, separators=(",", ":")))


def _line(one: Mapping[str, Any]) -> str:
    why = " ".join(part for part in (one["reason"], one["rule"] and f"by {one['rule']}") if part)
    message = one["message"] if one["state"] == "pending" else None
    present = f", {message['channel']} {message['status']}" if message else ""
    said = f"{one['state']}{present}{f' ({why})' if why else ''}"
    to = one["to"] or "a number that is not known"
    return f"{one['id']}  {format_time(one['at'])}  {to} {one['country']}  app {one['app']}: {said}"


def _counted(one: Mapping[str, Any]) -> str:
    """Say what a rule counted; one that only says yes or no has no threshold."""
    if not one.get("threshold"):
        return ""
    return f": {one['counter']:g} of {one['threshold']:g} in {one['window']:g} s"


def _told(one: Mapping[str, Any]) -> str:
    """Write what happened in a line: the words first, then the facts."""
    words = [one["what"].replace("_", " "), one.get("result", ""), one.get("channel", "")]
    if "following" in one:
        words.append(f"to {one['following']}")
    if "account" in one:
        words.append(f"by {one['account']}")
    if one["what"] == What.DECIDED:
        words.append("by on_failure" if "reason" in one else "by the app's endpoint")
    if "rule" in one:
        words.append(f"rule {one['rule']}{_counted(one)}")
    if one.get("reason", one.get("result")) != one.get("result"):
        words.append(f"({one['reason']})")
    facts = {
        name: one[name]
        for name in ("plan", "origin", "word", "seconds", "price", "request_id")
        if name in one
    }
    return "  ".join([" ".join(filter(None, words)), *(f"{name}={value}" for name, value in facts.items())])
