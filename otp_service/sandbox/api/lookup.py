"""The number lookup: the network of a number, porting and roaming.

Knows the fields of the answer. Must not know anything about real numbers: all are on one invented network, unless an
outcome is forced.
"""

from flask import Response

from otp_service.sandbox.api import answers, unified
from otp_service.sandbox.api.calls import Call, Endpoints
from otp_service.sandbox.api.switchboard import Switchboard
from otp_service.sandbox.outcomes import Outcome

HOME, OTHER, ABROAD = ("Sandbox Mobile", "001"), ("Other Mobile", "002"), ("Foreign Mobile", "003")
"""Names and codes of invented networks; ITU-T E.212 reserves the country code 999 for private use."""
FIXED = ("Sandbox Fixed Line", "")
_FIELDS = ("network_prefix", "country_prefix", "network_name", "country_name", "state_name")


class Lookup:
    """The handler of `lookup/verify`."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard

    def endpoints(self) -> Endpoints:
        """Return the handlers by path and verb."""
        return {"lookup/verify": {"POST": self.lookup}}

    def lookup(self, call: Call) -> Response:
        """Return the network of one or more numbers."""
        call.require("to")
        numbers = unified.checked_numbers([number.strip() for number in call.text("to").split(",")])
        outcomes = self._switchboard.admit(call.customer, [("lookup", number) for number in numbers])
        self._switchboard.hold_back(outcomes)
        rows = [_row(number, outcome) for number, outcome in zip(numbers, outcomes, strict=True)]
        response = answers.json_answer({"status": 200, "message": "Verified Successfully", "data": rows})
        return answers.cut_in_half(response) if Outcome.GARBAGE in outcomes else response


def _row(number: str, outcome: Outcome) -> dict[str, object]:
    found = outcome is not Outcome.LOOKUP_FAILED
    home = FIXED if outcome is Outcome.LANDLINE else HOME
    ported = OTHER if outcome is Outcome.PORTED else None
    roaming = ABROAD if outcome is Outcome.ROAMING else None
    _, code = ported or home
    on_mobile = found and bool(code)
    return {
        "phone": number,
        "mcc_mnc": f"999{code}" if on_mobile else None,
        "imsi": f"999{code}{number[-9:]:0>9}" if on_mobile else None,
        "serving_msc": number[:5] if on_mobile else None,
        "status": "SUCCESS" if found else "FAILED",
        "original_network": _network(number, home[0] if found else None),
        **_moved("ported", number, ported),
        **_moved("roaming", number, roaming),
    }


def _moved(how: str, number: str, network: tuple[str, str] | None) -> dict[str, object]:
    known = _network(number, network[0] if network else None)
    return {
        how: network is not None,
        f"{how}_network": {f"{how}_{name}": value for name, value in known.items()},
    }


def _network(number: str, name: str | None) -> dict[str, str | None]:
    if name is None:
        return dict.fromkeys(_FIELDS)
    # Good enough for invented networks: zones 1 and 7 have country codes of one digit, most others of two.
    size = 1 if number[:1] in ("1", "7") else 2
    return dict(
        zip(_FIELDS, (number[size : size + 5], number[:size], name, "Sandbox", "Nowhere"), strict=True)
    )
