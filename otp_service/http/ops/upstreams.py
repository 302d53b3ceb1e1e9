"""The operators' HTTP API for upstream accounts: their state.

Knows how balances are shown. Must not know an upstream's words.
"""

from typing import Any

from flask import Blueprint, g

from otp_service.http.operation import OPS_KEYS, operation
from otp_service.http.schemas.upstreams import UpstreamsSchema
from otp_service.http.view import core

views = Blueprint("ops_upstreams", __name__, url_prefix="/ops")


@views.get("/upstreams")
@operation(summary="List upstream accounts", answer=UpstreamsSchema, keys=OPS_KEYS, role="read")
def list_upstreams() -> dict[str, Any]:
    """Ask each account for its balance, and show its circuit breakers."""
    states = core().breakers.states(g.active.channels_of_accounts())
    return {
        "upstreams": [one | {"breakers": states[one["name"]]} for one in core().asked_balances.read(g.active)]
    }
