"""Now: what is on fire first, each with the page that shows its rows; then the last 24 hours.

Knows where each state is read, and which is worse. Must not know how it came about.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, g, render_template, url_for

from otp_service.http.console.fires import HOUR, hours_of, list_falls, list_silent
from otp_service.http.console.frame import for_role, is_limited
from otp_service.http.console.pictures import draw_funnel, draw_spark
from otp_service.http.console.upstreams import read_breakers
from otp_service.http.console.words import channel_name, duration, share
from otp_service.http.view import core

views = Blueprint("now", __name__)
LATE = 5_000
"""Milliseconds after which a delivery that is due is late."""
SLOW = 2.0
"""Seconds that a new send waits for the workers' hashes before it is said."""


@dataclass(frozen=True, slots=True)
class Fire:
    """Something that needs a person: how bad ("bad" or "wait"), a short name, a sentence, and where its rows are."""

    tone: str
    name: str
    text: str
    link: str


@views.get("/")
@for_role("read", by_app=True)
def show() -> str:
    """Show what needs a person, worst first, and the way of the last day's codes."""
    now = core().store.facts.time()
    by_hour = core().figures.read(from_="47h", by="time,account,channel,country", scope=g.scope)["rows"]
    day = core().figures.read(by="channel", scope=g.scope)
    fires = sorted(_fires(_added(by_hour), now), key=lambda fire: fire.tone != "bad")
    return render_template(
        "console/now.html",
        fires=fires,
        funnel=draw_funnel(day["total"]),
        channels=[
            (row["channel"], row, _spark(by_hour, row["channel"], now)) for row in day["rows"] if row["sent"]
        ],
        refused=sorted(day["total"]["reasons"].get("refused", {}).items(), key=lambda one: -one[1]),
    )


def _added(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Add rows up, once without accounts and once without countries."""
    return {"country": _sums(rows, "channel", "country"), "account": _sums(rows, "account", "channel")}


def _sums(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = ("time", *names)
        one = found.setdefault(
            tuple(row[name] for name in key), {name: row[name] for name in key} | dict.fromkeys(_COUNTS, 0)
        )
        for count in _COUNTS:
            one[count] += row[count]
    return list(found.values())


_COUNTS = ("sent", "delivered", "failed", "verified")


def _spark(rows: list[dict[str, Any]], channel: str, now: int) -> str:
    hours = hours_of(_sums(rows, "channel"), "channel").get((channel,), {})
    counts = [
        hours[at]["sent"] if at in hours else 0 for at in range((now // HOUR - 23) * HOUR, now + 1, HOUR)
    ]
    return draw_spark(counts)


def _fires(rows: dict[str, list[dict[str, Any]]], now: int) -> Iterator[Fire]:
    """Yield what needs a person; to an operator of some apps, what the figures and blocks of these say."""
    if not is_limited():
        yield from _workers()
        yield from _breakers()
        yield from _silent(rows["account"], now)
        yield from _late(now)
        yield from _balances()
    yield from _falls(rows["country"], now)
    yield from _blocks()


def _falls(rows: list[dict[str, Any]], now: int) -> Iterator[Fire]:
    for fall in list_falls(rows, now):
        text = (
            f"{channel_name(fall.channel)} to {fall.country}: {share(fall.now)} verified, same hour yesterday "
            f"{share(fall.before)} ({fall.sent} sent)"
        )
        yield Fire("bad", "conversion", text, url_for("console.find.show"))


def _silent(rows: list[dict[str, Any]], now: int) -> Iterator[Fire]:
    for account, channel, sent in list_silent(rows, now):
        text = f"{account}, {channel_name(channel)}: {sent} sent in the last hours, and no report of any."
        yield Fire("bad", "receipts stopped", text, url_for("console.upstreams.show"))


def _workers() -> Iterator[Fire]:
    if not core().store.membership(core().store.due).read()[1]:
        text = "No worker is alive: no code is sent."
        yield Fire("bad", "workers gone", text, url_for("console.find.show"))


def _breakers() -> Iterator[Fire]:
    for account, states in read_breakers().items():
        for channel, state in states.items():
            if state != "closed":
                what = "the whole account" if channel == "*" else channel_name(channel)
                text = f"{account}, {what}: {state}. Other accounts and steps are used meanwhile."
                yield Fire("bad", "breaker open", text, url_for("console.upstreams.show"))


def _late(now: int) -> Iterator[Fire]:
    due = core().store.due
    overdue = due.overdue(now)
    if overdue > LATE:
        text = f"The oldest delivery is {duration(overdue / 1000)} late; {due.size()} challenges are open."
        yield Fire("bad", "late", text, url_for("console.find.show"))
    wait = core().send_wait.estimate("send")
    if wait > SLOW:
        text = f"A new send waits about {duration(min(wait, HOUR))} for the workers, who hash as fast as they can."
        yield Fire("bad", "hashing queue", text, url_for("console.find.show"))


def _balances() -> Iterator[Fire]:
    """Ask the accounts for which the policy says what is low."""
    lows = {
        name: one.low_balance
        for name, one in g.active.policy.upstreams.items()
        if one.low_balance is not None
    }
    for account in core().asked_balances.read(g.active) if lows else ():
        low = lows.get(account["name"])
        for row in account["balance"] if low is not None else ():
            if row["credits"] < low and not row["postpaid"]:
                what = f"{account['name']}, {row['name'] or row['service']}"
                text = f"{what}: {row['credits']:,.0f} left; low is below {low:,.0f}."
                yield Fire("bad", "balance low", text, url_for("console.upstreams.show"))


def _blocks() -> Iterator[Fire]:
    found: dict[str, tuple[int, int]] = {}
    for block in core().blocks.read_all(g.active.policy, scope=g.scope):
        if block["active"] and block["on"]:
            count, refused = found.get(block["rule"], (0, 0))
            found[block["rule"]] = count + 1, refused + block["refused"]
    for rule, (count, refused) in sorted(found.items(), key=lambda one: -one[1][1]):
        subjects = "1 subject is" if count == 1 else f"{count} subjects are"
        yield Fire(
            "wait",
            f"refused by {rule}",
            f"{subjects} blocked by this rule; {refused} sends were refused.",
            url_for("console.guard.show"),
        )
