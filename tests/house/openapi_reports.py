"""What upstream accounts push, for openapi.yaml: the forms that docs of the vendor show and its library sends.

Knows forms of bodies. Must not know the words of a report: `upstream/mobtexting/receipts.py` reads them.
"""

from typing import Any

REPORT = {
    "mid": "f1c2a34d-40d5-491e-99b0-da01ff1f3341",
    "mobile": "12025550100",
    "status": "DELIVRD",
    "custom": "2aH3b0sYp1c7mV9xQ4tLkZ0w",
}
"""A flat report of an SMS."""
_FIELDS = {
    "description": "Named as in the account's `receipts.fields`, or as usual.",
    "type": "object",
}


def add(operation: dict[str, Any], method: str, *, by_path: bool) -> None:
    """Say how a report comes: in the query of a GET, else in the body; its secret as Bearer, or in the path."""
    operation["security"] = [] if by_path else [{"upstreamSecret": []}]
    if method == "GET":
        operation["parameters"].append(
            {
                "name": "report",
                "in": "query",
                "style": "form",
                "explode": True,
                "description": "Each field is a parameter of its own.",
                "schema": _FIELDS,
                "example": REPORT,
            }
        )
        return
    shown = {"examples": {"report": {"value": REPORT}}}
    form = {"schema": _FIELDS, **shown}
    several = {
        "type": ["object", "array"],
        "items": {"type": "object"},
        "description": "One report, an event that wraps one, or a list of them.",
    }
    operation["requestBody"] = {
        "required": True,
        "content": {
            "application/json": {"schema": several, **shown},
            "application/x-www-form-urlencoded": form,
            "multipart/form-data": form,
        },
    }
