"""Whole examples for openapi.yaml: each problem as the service writes it, each body made of its fields' examples.

Must not hold the form of a problem: `problem` writes them.
"""

from collections.abc import Iterator
from typing import Any

from flask import Flask, g

from otp_service import errors
from otp_service.http.body import MAX_BODY
from otp_service.http.problems import STATUS, problem
from otp_service.verification.redeem import UNMET

REQUEST_ID = "Zk1p0Yk5c1n"
TEXTS = {
    "text/plain": 'otp_http_requests_total{route="/otp/send",status="202"} 4711.0\n',
    "text/csv": "channel,asked,let_in,sent,verified\r\nsms,1000,990,990,812\r\n",
    "text/html": '<h3 id="wrong_code">wrong_code</h3>\n',
    "text/javascript": "customElements.define('altcha-widget', AltchaWidget);\n",
}
"""Examples of answers that have no schema, by type."""

HUMAN_CHECK = {
    "kind": "altcha",
    "expires_in": 300,
    "challenge": {
        "parameters": {"algorithm": "SHA-256", "nonce": "5d41402a", "salt": "9f86d081"},
        "signature": "2c26b46b",
    },
}
_MADE: dict[type[errors.OtpError], errors.OtpError] = {
    errors.Invalid: errors.Invalid({"to": ["is required"]}),
    errors.InvalidNumber: errors.InvalidNumber("must be a number that is known in its country"),
    errors.ChannelNotAvailable: errors.ChannelNotAvailable(["sms", "voice"]),
    errors.BodyTooLarge: errors.BodyTooLarge(MAX_BODY),
    errors.WrongCode: errors.WrongCode(4),
    errors.TokenMismatch: errors.TokenMismatch({"expect.purpose": [UNMET]}),
    errors.PolicyConflict: errors.PolicyConflict(12),
    errors.PolicyInvalid: errors.PolicyInvalid(
        ["route.0.steps.0.channel: must be one of sms, whatsapp (line 31)"]
    ),
    errors.RoleNotAllowed: errors.RoleNotAllowed("admin"),
    errors.HumanCheckRequired: errors.HumanCheckRequired(HUMAN_CHECK),
    **{
        kind: kind(retry_after=seconds)
        for kind, seconds in (
            (errors.TooManyRequests, 540),
            (errors.ResendTooEarly, 30),
            (errors.Busy, 1),
            (errors.StoreUnavailable, 2),
            (errors.NoWorker, 5),
            (errors.HumanCheckUnavailable, 5),
        )
    },
}
"""Errors that need more than their class to be made, or that a caller sees with a time to wait."""


PROBLEM: Any = None
"""In place of a problem's example, until `add` knows the application that writes it."""


def add(whole: dict[str, Any], app: Flask) -> None:
    """Give every body of the document a whole example."""
    problems = dict(_problems(app))
    for media in _bodies(whole):
        for code, one in media.get("examples", {}).items():
            if one["value"] is PROBLEM:
                one["value"] = problems[code]
        if "example" not in media and "examples" not in media:
            name = media["schema"]["$ref"].rpartition("/")[2]
            media["examples"] = {name: {"value": example(whole, name)}}
    for schema in whole["components"]["schemas"].values():
        _strip(schema)


def _strip(schema: dict[str, Any]) -> None:
    """Take the fields' own examples away: the whole ones have them."""
    for part in [schema, *schema.get("allOf", [])]:
        for field in part.get("properties", {}).values():
            for one in (field, field.get("items", {})):
                one.pop("example", None)
                one.pop("examples", None)


def _bodies(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in whole["paths"].values():
        for operation in item.values():
            for part in [operation.get("requestBody", {}), *operation["responses"].values()]:
                yield from part.get("content", {}).values()


def _problems(app: Flask) -> Iterator[tuple[str, Any]]:
    for kind in STATUS:
        error = _MADE.get(kind) or kind()
        with app.test_request_context():
            g.request_id, g.key_kind, g.standing = REQUEST_ID, None, None
            yield kind.code, problem(error).get_json()


def example(whole: dict[str, Any], name: str) -> Any:  # noqa: ANN401 - JSON
    """Give a whole example of a schema: one written by hand, or each field's own."""
    if name in BY_HAND:
        return BY_HAND[name]
    return _of(whole, whole["components"]["schemas"][name])


def _of(whole: dict[str, Any], schema: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    if "$ref" in schema:
        return example(whole, schema["$ref"].rpartition("/")[2])
    if "allOf" in schema:
        parts = [_of(whole, part) for part in schema["allOf"]]
        return {name: value for part in parts for name, value in part.items()}
    if "properties" in schema:
        return {name: _of(whole, of) for name, of in schema["properties"].items()}
    known = schema.get("example", next(iter(schema.get("examples", [])), None))
    if known not in (None, []):
        return known
    if isinstance(schema.get("items"), dict) and "$ref" in schema["items"]:
        return [_of(whole, schema["items"])]
    return known


_APP = {
    "name": "shop",
    "brand": "Acme Shop",
    "origins": ["https://shop.example.com"],
    "declared_keys": {"publishable": 1, "secret": 1},
    "issued_keys": [],
}
BY_HAND: dict[str, Any] = {
    "Apps": {"apps": [_APP]},
    "Send": {
        "to": "+1 202 555 0100",
        "purpose": "payment",
        "locale": "en",
        "reference": "order-4711",
        "binding": {"amount": "12.00 EUR", "payee": "Acme"},
    },
    "Verify": {"challenge_id": "2aH3b0sYp1c7mV9xQ4tLkZ0w", "code": "042137", "remember_device": True},
    "Resend": {"channel": "voice"},
    "KeyCreate": {"kind": "secret", "owner": "web", "expires": "90d", "label": "checkout servers"},
    "Pin": {
        "kind": "prefix",
        "subject": "+4479",
        "what": "refuse",
        "hours": 24,
        "reason": "pumping since noon",
    },
    "Unpin": {"kind": "prefix", "subject": "+4479", "reason": "the attack is over"},
    "Lift": {"id": "prefix:prefix:ab3dEf9hIjklMnopQrStuv", "reason": "a customer's new range"},
    "Recycled": {"numbers": ["+12025550100"], "days": 90, "reason": "the carrier's list of May"},
    "Note": {
        "what": "sent",
        "at": 1_700_000_000_000,
        "channel": "sms",
        "account": "main",
        "result": "accepted",
    },
    "Search": {"number": "+1 202 555 0100", "limit": 20},
    "Number": {"to": "+1 202 555 0100"},
    "Forget": {"to": "+1 202 555 0100", "and_suppression": False},
}
"""Examples of schemas that their fields' own examples would not make sense as a whole."""
