"""Solves human checks as a page does, with the library's own solver."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from altcha import Challenge, Payload, solve_challenge


def proof(posed: Mapping[str, Any]) -> dict[str, Any]:
    """Solve a posed check with the library's own solver; gives the payload before it is encoded."""
    challenge = Challenge.from_dict(posed["challenge"])
    solution = solve_challenge(challenge)
    assert solution is not None
    return Payload(challenge, solution).to_dict()


def encoded(payload: object) -> str:
    """Write a payload as the widget does."""
    return base64.b64encode(json.dumps(payload).encode()).decode()
