"""The events that the service sends to apps and operators, for openapi.yaml (Standard Webhooks 1.0.0).

Knows what each event holds. tests/house/test_openapi_webhooks.py holds it against events as the code makes them.
"""

from typing import Any, get_args

from marshmallow import Schema

from otp_service.alerts.alert import Kind, Severity
from otp_service.alerts.bulletin import AlertType
from otp_service.challenge.model import State
from otp_service.events.standard_webhooks import EventType
from otp_service.guard.decision_hook import TYPE, Level
from otp_service.http.schemas.challenge import ChallengeSchema, DeliverySchema
from otp_service.http.schemas.tokens import ClaimsSchema
from otp_service.upstream.channels import CHANNELS

Fields = dict[str, tuple[dict[str, Any], str, Any]]
"""Each field's form, description and example."""
AnyType = EventType | AlertType
TYPES: tuple[AnyType, ...] = (*EventType, *AlertType)
ENDED = (State.EXHAUSTED, State.EXPIRED, State.UNDELIVERABLE)
"""States in which a challenge failed."""
SUMMARIES = {
    EventType.SENT: "A message left: the upstream account accepted it",
    EventType.DELIVERED: "A message reached the phone",
    EventType.FELL_BACK: "The next channel takes over",
    EventType.VERIFIED: "The person typed the right code",
    EventType.FAILED: "The challenge ended without a right code",
    EventType.BLOCKED: "The guard refused a send",
    AlertType.FIRING: "Operators are told that something needs a person",
    AlertType.RESOLVED: "Operators are told that it is over",
}
_HEADERS = {
    "webhook-id": (
        "Stays the same when the event is sent again; ignore an id that you have seen.",
        _ID := "evt_2aH3b0sYp1c7mV9x",
    ),
    "webhook-timestamp": ("When this try was made, in seconds since 1970; refuse old ones.", "1790000000"),
    "webhook-signature": (
        "HMAC-SHA256 of `id.timestamp.body` with each valid secret, space-delimited; check it first.",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
}


_PARAMETERS = [
    {
        "name": header,
        "in": "header",
        "required": True,
        "description": about,
        "schema": {"type": "string"},
        "example": example,
    }
    for header, (about, example) in _HEADERS.items()
]


def _said(field: str, schema: type[Schema] = ChallengeSchema) -> str:
    """Give what a schema of the API says of a field."""
    return str(schema().fields[field].metadata["description"])


_ABOUT: Fields = {
    "challenge_id": (
        {"type": "string"},
        "The challenge's id, as the send answered it.",
        "2aH3b0sYp1c7mV9xQ4tLkZ0w",
    ),
    "purpose": ({"type": "string"}, _said("purpose"), "login"),
    "reference": ({"type": "string"}, _said("reference"), "signup-4711"),
}
_CHANNEL = ({"type": "string", "enum": list(CHANNELS)}, _said("channel", DeliverySchema), "sms")
_ALERT: Fields = {
    "alert": ({"type": "string", "enum": [*get_args(Kind)]}, "What kind of state it is.", "breaker_open"),
    "subject": (
        {"type": "string"},
        "What it is about, such as an account and a channel; may be empty.",
        "main/sms",
    ),
    "severity": ({"type": "string", "enum": [*get_args(Severity)]}, "How bad it is.", "critical"),
    "text": (
        {"type": "string"},
        "A sentence for people.",
        "main, SMS: open. Other accounts and steps are used meanwhile.",
    ),
    "since": (
        {"type": "integer"},
        "When it was first seen (milliseconds since 1970).",
        1_790_000_000_000,
    ),
    "page": (
        {"type": "string"},
        "The page of the console with its rows, below the operators' address.",
        "/ops/console/upstreams",
    ),
}
_DATA: dict[AnyType, Fields] = {
    EventType.SENT: {"channel": _CHANNEL},
    EventType.DELIVERED: {"channel": _CHANNEL},
    EventType.FELL_BACK: {
        "channel": ({"type": "string", "enum": list(CHANNELS)}, "The channel that takes over.", "whatsapp"),
        "from": ({"type": "string", "enum": list(CHANNELS)}, "The channel before it.", "sms"),
        "reason": (
            {"type": "string"},
            "Why: the upstream account's reason, or the status of the delivery before, such as unknown.",
            "failed",
        ),
    },
    EventType.VERIFIED: {
        "channel": ({"type": "string", "enum": list(CHANNELS)}, _said("channel", ClaimsSchema), "sms")
    },
    EventType.FAILED: {
        "reason": (
            {"type": "string", "enum": [str(s) for s in ENDED]},
            "The state in which it ended.",
            "expired",
        )
    },
    EventType.BLOCKED: {"rule": ({"type": "string"}, "The guard's rule that refused.", "number")},
    AlertType.FIRING: _ALERT,
    AlertType.RESOLVED: _ALERT,
}
_APART = {EventType.BLOCKED, *AlertType}
"""Types that are about no challenge."""
_OPTIONAL = {"reference"}
_TEXT = {"type": "string"}
_QUESTION: Fields = {
    "app": (_TEXT, "Whose send it is: the app's name.", "web"),
    "to": (_TEXT, "The number, in E.164.", "+12025550100"),
    "country": (_TEXT, "The number's country (ISO 3166 alpha-2).", "US"),
    "number_type": (_TEXT, "The kind of number, as the metadata knows it.", "fixed_line_or_mobile"),
    "purpose": (_TEXT, _said("purpose"), "login"),
    "channel": ({"type": "string", "enum": list(CHANNELS)}, "The first channel of the send.", "sms"),
    "known": (
        _TEXT,
        "Who asks: stranger, server, session, returning, device or vouched.",
        "stranger",
    ),
    "address": (_TEXT, "The person's IP address; empty if it is not known.", "192.0.2.1"),
    "session": (_TEXT, "The session that a server named; empty if none.", ""),
    "request_id": (_TEXT, "The id of the request, as its answer has it.", "Zk1p0Yk5c1n"),
}
_ANSWERS = {
    "type": "object",
    "description": "What an app decides about a send.",
    "required": ["decision"],
    "properties": {
        "decision": {
            "type": "string",
            "enum": [*get_args(Level)],
            "description": "Let it go out, demand a human check, keep to cheap channels, or refuse it.",
        }
    },
}


def name_of(type_: AnyType) -> str:
    """Give the name of an event's schema and, from a small letter, of its operation."""
    return "".join(word.capitalize() for word in str(type_).replace(".", "_").split("_"))


def webhooks() -> dict[str, Any]:
    """Describe the request of each event and what the service makes of an app's answer."""
    events = {str(type_): {"post": _operation(type_)} for type_ in TYPES}
    return events | {TYPE: {"post": _DECISION}}


def _operation(type_: AnyType) -> dict[str, Any]:
    name = name_of(type_)
    return {
        "operationId": name[0].lower() + name[1:],
        "tags": ["Operators" if isinstance(type_, AlertType) else "Verification"],
        "summary": SUMMARIES[type_],
        "security": [],
        "parameters": _PARAMETERS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{name}"},
                    "example": _example(type_),
                }
            },
        },
        "responses": _RESPONSES,
    }


_RESPONSES = {
    "2XX": {"description": "The receiver has it."},
    "410": {
        "description": "The receiver wants no more events: the service sends none to this URL for a while."
    },
    "default": {
        "description": "The service sends it again, nine times in three days. A Retry-After makes it wait longer."
    },
}


_DECISION = {
    "operationId": "decisionRequested",
    "tags": ["Verification"],
    "summary": "An app that has a decision endpoint is asked about a send",
    "security": [],
    "parameters": _PARAMETERS,
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/DecisionRequested"},
                "example": {
                    "type": TYPE,
                    "timestamp": "2026-09-21T14:13:20.000Z",
                    "data": {name: example for name, (_, _, example) in _QUESTION.items()},
                },
            }
        },
    },
    "responses": {
        "200": {
            "description": "The decision.",
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/Decision"},
                    "example": {"decision": "allow"},
                }
            },
        },
        "default": {
            "description": "No decision, as one that comes after 300 ms: `on_failure` of the policy says what follows."
        },
    },
}


def _example(type_: AnyType) -> dict[str, Any]:
    fields = _fields(type_)
    data = {name: example for name, (_, _, example) in fields.items()}
    return {"type": str(type_), "timestamp": "2026-09-21T14:13:20.000Z", "data": data}


def _fields(type_: AnyType) -> Fields:
    return _DATA[type_] if type_ in _APART else _ABOUT | _DATA[type_]


def schemas() -> dict[str, Any]:
    """Give the schema of each event's body."""
    about = {"description": "What every event about a challenge holds.", **_data(_ABOUT)}
    alert = {"description": "What every event about an alert holds.", **_data(_ALERT)}
    events = {"EventData": about, "AlertData": alert, **{name_of(type_): _schema(type_) for type_ in TYPES}}
    return events | {"DecisionRequested": _ASKED, "Decision": _ANSWERS}


def _schema(type_: AnyType) -> dict[str, Any]:
    return {
        "type": "object",
        "description": f"{SUMMARIES[type_]}.",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": str(type_)},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
            "data": _data_of(type_),
        },
    }


def _data_of(type_: AnyType) -> dict[str, Any]:
    if isinstance(type_, AlertType):
        return {"$ref": "#/components/schemas/AlertData"}
    return _data(_DATA[type_]) if type_ in _APART else {"allOf": [_BASE, _data(_DATA[type_])]}


_BASE = {"$ref": "#/components/schemas/EventData"}


def _data(fields: Fields) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [name for name in fields if name not in _OPTIONAL],
        "properties": {name: form | {"description": about} for name, (form, about, _) in fields.items()},
    }


_ASKED = {
    "type": "object",
    "description": "A question about a send, before it is charged.",
    "required": ["type", "timestamp", "data"],
    "properties": {
        "type": {"const": TYPE},
        "timestamp": {"type": "string", "format": "date-time", "description": "When it was asked."},
        "data": _data(_QUESTION),
    },
}
