"""The operators' HTTP API for upstream accounts: their state and their figures.

Knows how balances and figures are shown. Must not know an upstream's words.
"""

from typing import Any

from flask import Blueprint, g

from otp_service.http.operation import OPS_KEYS, operation
from otp_service.http.schemas.upstreams import FiguresSchema, UpstreamsSchema
from otp_service.http.view import core

views = Blueprint("ops_upstreams", __name__, url_prefix="/ops")


@views.get("/upstreams")
@operation(summary="List upstream accounts", answer=UpstreamsSchema, keys=OPS_KEYS, role="read")
def list_upstreams() -> dict[str, Any]:
    """Ask each account for its balance, and show its circuit breakers."""
    channels: dict[str, list[str]] = {name: [] for name in g.active.accounts}
    for channel, name in g.active.senders:
        channels[name].append(channel)
    states = core().breakers.states(channels)
    return {
        "upstreams": [one | {"breakers": states[one["name"]]} for one in core().asked_balances.read(g.active)]
    }


@views.get("/figures")
@operation(summary="Show conversion", answer=FiguresSchema, keys=OPS_KEYS, role="read")
def list_figures() -> dict[str, Any]:
    """Return how many codes were sent and verified in the last seven days, and how quickly."""
    rows = core().conversion.read_rows(core().store.facts.time())
    return {
        "figures": [
            {
                "channel": row.channel,
                "country": row.country,
                "upstream": row.upstream,
                "sent": row.sent,
                "verified": row.verified,
                "conversion": round(row.verified / row.sent, 4) if row.sent else None,
                "median_seconds": _rounded(row.seconds(0.5)),
                "p90_seconds": _rounded(row.seconds(0.9)),
            }
            for row in rows
        ]
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
