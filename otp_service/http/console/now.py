"""Now: what is on fire first, each with the page that shows its rows; then the last 24 hours.

Knows how it is drawn. Must not know what needs a person.
"""

from typing import Any

from flask import Blueprint, g, render_template

from otp_service.alerts.conversion import HOUR
from otp_service.http.console.frame import for_role
from otp_service.http.console.pictures import draw_funnel, draw_spark
from otp_service.http.view import core

views = Blueprint("now", __name__)
_PAGES = {"find": "find.show", "upstreams": "upstreams.show", "blocks": "guard.show"}


@views.get("/")
@for_role("read", by_app=True)
def show() -> str:
    """Show what needs a person, worst first, and the way of the last day's codes."""
    now = core().store.facts.time()
    hours = core().lookout.read_hours(g.scope)
    day = core().figures.read(by="channel", scope=g.scope)
    return render_template(
        "console/now.html",
        fires=core().lookout.list_alerts(g.active, hours, scope=g.scope),
        pages={page: f"console.{view}" for page, view in _PAGES.items()},
        funnel=draw_funnel(day["total"]),
        channels=[
            (row["channel"], row, _spark(hours, row["channel"], now)) for row in day["rows"] if row["sent"]
        ],
        refused=sorted(day["total"]["reasons"].get("refused", {}).items(), key=lambda one: -one[1]),
    )


def _spark(rows: list[dict[str, Any]], channel: str, now: int) -> str:
    """Draw the messages of a channel, hour by hour."""
    hours = [now // HOUR * HOUR - ago * HOUR for ago in range(23, -1, -1)]
    sent = dict.fromkeys(hours, 0)
    for row in rows:
        if row["channel"] == channel and row["time"] in sent:
            sent[row["time"]] += row["sent"]
    return draw_spark(list(sent.values()))
