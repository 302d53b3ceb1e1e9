"""What is left of an account, as the upstream writes it (documentation, v2/account/balance)."""

from collections.abc import Mapping
from typing import Any

from otp_service.upstream.mobtexting.values import number, truth
from otp_service.upstream.port import Balance


def balances(body: Mapping[str, Any]) -> list[Balance] | None:
    """Read all rows; None unless each can be read."""
    data = body.get("data")
    found = [_balance(row) for row in data] if isinstance(data, list) else [None]
    whole = [balance for balance in found if balance]
    return whole if len(whole) == len(found) else None


def _balance(row: Any) -> Balance | None:  # noqa: ANN401 - it is whatever JSON held
    credits_left = number(row.get("credits")) if isinstance(row, dict) else None
    if credits_left is None:
        return None
    return Balance(
        service=str(row.get("service") or ""),
        name=str(row.get("name") or ""),
        credits=credits_left,
        postpaid=truth(row.get("postpaid")),
        charges=number(row.get("charges")),
    )
