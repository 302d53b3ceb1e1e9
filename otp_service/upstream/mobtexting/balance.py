"""Reads the balance of an account (documentation, v2/account/balance).

Knows the fields of its rows. Must not know how they are fetched.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from otp_service.upstream.mobtexting.values import number, truth
from otp_service.upstream.port import Balance

_CHANNELS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("T", "P", "S", "G"), "sms"),
    "WAP": "whatsapp",
    "VOC": "voice",
    "RCS": "rcs",
    "MIP": "mip",
    "VBR": "viber",
}
"""The channel of each documented service code (v2, common rules). White labels have others, which may name one."""
_NAMED: Final = re.compile(r"\b(sms|whatsapp|voice|rcs|mip|viber)\b", re.IGNORECASE)


def balances(body: Mapping[str, Any]) -> list[Balance] | None:
    """Read all rows. Return None if one of them cannot be read."""
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
        channel=_CHANNELS.get(str(row.get("service")).strip().upper()) or _named(str(row.get("name"))),
    )


def _named(name: str) -> str | None:
    found = _NAMED.search(name)
    return found[1].lower() if found else None
