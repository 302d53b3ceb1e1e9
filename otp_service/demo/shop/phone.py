"""The phone beside the shop: what the sandbox would have delivered, and buttons that make messages fail.

Knows the sandbox's inbox and outcomes. Only the demo has it: a real shop never sees its customers' messages.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import requests
from flask import Blueprint, Response, current_app, jsonify, request

SHOWN = 12
SECONDS = 5
FAULTS: Mapping[str, Mapping[str, str]] = {
    "fine": {},
    "sms-fails": {"sms": "undelivered"},
    "slow": {"sms": "slow", "whatsapp": "slow"},
    "no-answer": {"sms": "undelivered", "whatsapp": "undelivered", "voice": "no_answer"},
}
"""What each button forces, by channel."""


views = Blueprint("phone", __name__)


@views.get("/phone")
def read_messages() -> Response:
    """Return what arrived, newest first, and which fault is on."""
    forced = {row["channel"]: row["outcome"] for row in _read("/outcomes") if row["number"] == "*"}
    fault = next((name for name, outcomes in FAULTS.items() if outcomes == forced), "")
    return jsonify(messages=_read(f"/inbox?limit={SHOWN}"), fault=fault)


@views.post("/phone")
def force() -> tuple[str, int]:
    """Let messages end as a button says."""
    sandbox = current_app.extensions["sandbox_url"]
    requests.delete(f"{sandbox}/outcomes", timeout=SECONDS).raise_for_status()
    for channel, outcome in FAULTS.get(request.get_json()["fault"], {}).items():
        body = {"number": "*", "channel": channel, "outcome": outcome}
        requests.put(f"{sandbox}/outcomes", json=body, timeout=SECONDS).raise_for_status()
    return "", HTTPStatus.NO_CONTENT


def _read(path: str) -> Any:  # noqa: ANN401 - JSON
    sandbox = current_app.extensions["sandbox_url"]
    return requests.get(sandbox + path, headers={"Accept": "application/json"}, timeout=SECONDS).json()
