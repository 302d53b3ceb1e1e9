"""The policy, its versions, and what it would do with a number."""

from marshmallow import Schema, fields, validate

from otp_service.http.schemas.challenge import RouteSchema
from otp_service.http.schemas.fields import Strict, reason_field, shown, text_field


def _policy(*, required: bool) -> fields.String:
    return fields.String(
        required=required,
        metadata={"description": "The policy, a TOML document.", "example": '[app.web]\nbrand = "Acme"'},
        error_messages={"invalid": "must be a string", "null": "must not be null"},
    )


def _version(about: str) -> fields.Integer:
    return fields.Integer(
        strict=True,
        validate=validate.Range(0, 1_000_000_000, error="must be the number of a version"),
        metadata={"description": about, "example": 12},
        error_messages={"invalid": "must be a whole number", "null": "must not be null"},
    )


class PolicyTextSchema(Strict):
    """A policy to check."""

    text = _policy(required=True)


class PolicyApplySchema(PolicyTextSchema):
    """A policy to apply."""

    reason = reason_field()
    expected = _version("The version that the change was made from; another in force is a conflict.")


class PolicyRollbackSchema(Strict):
    """Which version to bring back."""

    reason = reason_field()
    version = _version("The version; the one before the one in force when left out.")


class PolicyCheckedSchema(Schema):
    """A policy that could work."""

    warnings = shown(
        fields.List,
        "What may not be meant, each with its line.",
        ["app.web: the SMS in hi needs 2 parts (81 units) (line 2)"],
        cls_or_instance=fields.String(),
    )


class PolicyBriefSchema(Schema):
    """One version of the policy."""

    version = shown(fields.Integer, "Its number.", 12)
    author = shown(fields.String, "The operator whose key applied it, or how it came.", "alice")
    at = shown(fields.Integer, "When, in milliseconds since 1970 by the store's clock.", 1_700_000_000_000)
    reason = shown(fields.String, "Why.", "voice first in Spain")


class PolicyVersionSchema(PolicyBriefSchema):
    """One version of the policy with its text."""

    text = _policy(required=True)


class PolicyAppliedSchema(PolicyBriefSchema, PolicyCheckedSchema):
    """The version that is in force now."""


class PolicyHistorySchema(Schema):
    """Versions, the newest first."""

    versions = shown(fields.List, "Each version.", [], cls_or_instance=fields.Nested(PolicyBriefSchema))


class PolicyDiffSchema(Schema):
    """What changed between two versions."""

    diff = shown(fields.String, "A unified diff; empty for none.", '-wait = "30s"\n+wait = "20s"\n')


class SimulateSchema(RouteSchema):
    """What to play through."""

    app = text_field(
        "must be the name of an app", r"[a-z][a-z0-9_-]{0,31}", "The app; the first when left out.", "web"
    )
    text = _policy(required=False)


class SimulationSchema(Schema):
    """What a number would get, and why."""

    number = shown(fields.Dict, "The number as it is understood: masked, country, type.", {"country": "GB"})
    app = shown(fields.String, "The app that would send.", "web")
    route = shown(
        fields.Dict, "The route that serves it and why no earlier one does.", {"place": 0}, allow_none=True
    )
    steps = shown(
        fields.List,
        "Each step: channel, accounts in order, wait and where it comes from, text, parts.",
        [{"channel": "sms", "upstreams": ["main"], "wait": 30}],
        cls_or_instance=fields.Dict(),
    )
    guard = shown(
        fields.List,
        "What the send would be charged to.",
        [{"rule": "number", "mode": "enforce", "limits": ["3 in 600 s: refuse"]}],
        cls_or_instance=fields.Dict(),
    )
    verdict = fields.Dict(
        allow_none=True,
        metadata={
            "description": "What the guard would do now for a browser that nobody knows, and which limits are passed.",
            "example": {"verdict": "allow", "findings": []},
        },
    )
    challenge = fields.Dict(
        metadata={"description": "The rules that the challenge would follow.", "example": {"ttl": 300}}
    )
    passed_over = fields.List(
        fields.Dict(),
        metadata={"description": "Where no route serves the number: why each does not.", "example": []},
    )
    problem = fields.String(
        allow_none=True,
        metadata={"description": "The error that the send would get, if any.", "example": "no_route"},
    )
