"""Bodies of requests: the call, its Content-Type, its Idempotency-Key, then the body."""

import json
import re
from typing import Any, Final

from flask import Flask
from marshmallow import Schema

from otp_service import errors
from otp_service.http import body
from otp_service.http.schemas.access import AppCreateSchema, KeyCreateSchema
from otp_service.http.schemas.challenge import OptionsRequestSchema, ResendSchema, SendSchema, VerifySchema
from otp_service.http.schemas.guard import LiftSchema
from otp_service.http.schemas.numbers import RecycledSchema
from otp_service.http.schemas.policy import PolicyTextSchema
from otp_service.http.schemas.tokens import RedeemSchema
from otp_service.http.server.refusals import MalformedRequest

GUIDED = (
    "otp_service.http.body",
    "otp_service.http.schemas",
    "otp_service.http.client_address",
    "otp_service.typed",
    "otp_service.policy.fields",
    "marshmallow.fields",
    "marshmallow.schema",
    "json.decoder",
    "json.scanner",
)
CALLS: Final[dict[str, type[Schema]]] = {
    "send": SendSchema,
    "verify": VerifySchema,
    "resend": ResendSchema,
    "options": OptionsRequestSchema,
    "redeem": RedeemSchema,
    "key": KeyCreateSchema,
    "app": AppCreateSchema,
    "lift": LiftSchema,
    "recycled": RecycledSchema,
    "policy": PolicyTextSchema,
}
_JSON = "application/json"
SEEDS = tuple(
    text.encode()
    for text in (
        f'send\n{_JSON}\n"a key"\n{{"to": "+12025550100", "country": "US", "purpose": "login", "channel": "sms"}}',
        (
            f'send\n{_JSON}; charset=utf-8\nk\n{{"to": "\\u200e+1", "binding": {{"amount": "1", "payee": "Acme"}}, '
            '"address": "2001:db8::1%eth0", "other_factor": true, "locale": "pt-BR"}'
        ),
        f'send\n{_JSON}\n\n{{"to": "+12025550100", "device_token": "a.b.c", "app_hash": "FA+9qCX9VSu"}}',
        f'verify\n{_JSON}\n\n{{"challenge_id": "id", "code": "\u0660\u0661 2-345\u0666", "remember_device": false}}',
        f'verify\n{_JSON}\n\n{{"challenge_id": 1, "code": null, "binding": [], "more": 1, "more": 2}}',
        f"resend\n{_JSON}\n\n",
        f'options\n{_JSON}\n\n{{"to": "555", "address": "[::ffff:192.0.2.1]:80"}}',
        f'redeem\n{_JSON}\n\n{{"token": "a.b.c", "expect": {{"purpose": "p", "binding": "\\ud800"}}}}',
        f'key\n{_JSON}\n\n{{"kind": "ops", "owner": "anna", "role": "read", "expires": "90d", "label": "x"}}',
        f'app\n{_JSON}\n\n{{"name": "web", "brand": "Acme", "origins": ["https://a.example"], "reason": "why"}}',
        f'lift\n{_JSON}\n\n{{"reason": "why"}}',
        f'recycled\n{_JSON}\n\n{{"numbers": ["+12025550100"]}}',
        f'policy\n{_JSON}\n\n{{"policy": "[app.web]\\n", "reason": "why"}}',
        "send\ntext/plain\n\n{}",
        f"send\n{_JSON}\n\n[NaN, 1e999]",
        f"send\n{_JSON}\n\n\ufeff{{}}",
    )
)
WORDS = (
    *(f'"{name}"' for name in sorted({name for schema in CALLS.values() for name in schema().fields})),
    *(
        "\\ud800",
        "\\u0000",
        "NaN",
        "Infinity",
        "1e999",
        "null",
        "true",
        "[]",
        "{}",
        "\\u200e",
        "\u0661",
        "::1",
    ),
)
_REFUSALS: Final = (
    errors.UnsupportedMediaType,
    errors.BodyTooLarge,
    errors.MalformedJson,
    MalformedRequest,
    errors.Invalid,
)
_PLACE: Final = re.compile(
    r"(\(another field\)|[A-Za-z_-]{1,40})(\[[0-9]+\]|\.[A-Za-z_-]{1,40}|\.\(another field\))*"
)
_APP: Final = Flask("bodies")
Loaded = dict[str, Any] | tuple[str, list[tuple[str, str]]]


def check(raw: bytes) -> None:
    """Read a body: one of the documented refusals, which repeats nothing of it, or values that can be kept."""
    call, content_type, key, content = (*raw.split(b"\n", 3), b"", b"", b"")[:4]
    schema = CALLS.get(call.decode("latin-1"), SendSchema)
    headers = {"Idempotency-Key": key.decode("latin-1")} if key and b"\r" not in key else {}
    mimetype = content_type.decode("latin-1").replace("\r", "")
    with _APP.test_request_context(method="POST", data=content, content_type=mimetype, headers=headers):
        found = _load(schema)
        assert _load(schema) == found
        _check_key()
    if isinstance(found, tuple):
        _check_refusal(found[1], content)
        return
    json.dumps(found, ensure_ascii=False).encode()
    said = json.dumps(json.loads(content or b"{}"))
    with _APP.test_request_context(method="POST", data=said, content_type=_JSON):
        assert _load(schema) == found, "the same JSON, written in another way, means something else"
    _check_values(found)


def _load(schema: type[Schema]) -> Loaded:
    try:
        return body.load(schema, optional=schema is ResendSchema)
    except _REFUSALS as error:
        return error.code, error.rules() if isinstance(error, errors.Invalid) else []


def _check_key() -> None:
    try:
        key = body.idempotency_key()
    except errors.Invalid:
        return
    assert key is None or (1 <= len(key) <= 128 and key.isascii() and key.isprintable())


def _check_refusal(rules: list[tuple[str, str]], content: bytes) -> None:
    """A refusal names fields and rules, and repeats no code, number or name that the body holds."""
    for place, rule in rules:
        assert _PLACE.fullmatch(place), place
        assert rule.isprintable()
        assert len(rule) <= 300
        for digits in re.findall(rb"[0-9]{5,}", content):
            assert digits.decode() not in place
    assert len(rules) <= 200


def _check_values(found: dict[str, Any]) -> None:
    if "code" in found:
        assert re.fullmatch("[0-9]{6,10}", found["code"])
    if "to" in found:
        assert 3 <= len(found["to"]) <= 40
        assert not re.search(r"[\x00-\x1f]", found["to"])
    bound = found.get("binding")
    parts = bound.values() if isinstance(bound, dict) else [bound] if bound is not None else []
    assert all(part.isprintable() or "\n" not in part for part in parts)
