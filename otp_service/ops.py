"""The operators' HTTP API. Knows operators' keys; must not be reachable with an app's key."""

from typing import Any

from flask import Blueprint

from otp_service import schemas
from otp_service.edge import Account, operation, parts
from otp_service.mobtexting import UpstreamError

ops = Blueprint("ops", __name__, url_prefix="/ops")


@ops.get("/upstreams")
@operation(summary="Ask each upstream account for its balance", answer=schemas.UpstreamsSchema, keys=("ops",))
def upstreams() -> dict[str, Any]:
    """Call every account and show its answer, or what is wrong with it."""
    return {"upstreams": [_look(name, account) for name, account in parts().accounts.items()]}


def _look(name: str, account: Account) -> dict[str, Any]:
    try:
        rows = account.balance()
    except UpstreamError as error:
        return {"name": name, "status": str(error), "balance": []}
    shown = [
        {"service": r.service, "name": r.name, "credits": r.credits, "postpaid": r.postpaid} for r in rows
    ]
    return {"name": name, "status": "ok", "balance": shown}
