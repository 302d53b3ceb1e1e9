"""The policy, its versions, and what it would do with a number."""

from marshmallow import Schema, fields

from otp_service.http.schemas.challenge import RouteSchema
from otp_service.http.schemas.fields import (
    Strict,
    integer_field,
    reason_field,
    shown,
    shown_list,
    text_field,
)


def _policy_field(*, required: bool) -> fields.String:
    return fields.String(
        required=required,
        metadata={"description": "The policy, a TOML document.", "example": '[app.web]\nbrand = "Acme"'},
        error_messages={"invalid": "must be a string", "null": "must not be null"},
    )


def _version_field(least: int, about: str) -> fields.Integer:
    return integer_field(least, 1_000_000_000, "must be the number of a version", about, 12)


class PolicyTextSchema(Strict):
    """A policy to check."""

    text = _policy_field(required=True)


class PolicyApplySchema(PolicyTextSchema):
    """A policy to apply."""

    reason = reason_field()
    expected = _version_field(
        0, "The version that the change is based on. If another one is in force, nothing is changed."
    )


class PolicyRollbackSchema(Strict):
    """Which version to bring back."""

    reason = reason_field()
    version = _version_field(1, "The version. If omitted, the one before the version in force.")


class PolicyCheckedSchema(Schema):
    """A valid policy."""

    warnings = shown(
        fields.List,
        "Likely mistakes, each with its line.",
        ["app.web: the SMS in hi needs 2 parts (81 units) (line 2)"],
        cls_or_instance=fields.String(),
    )


class PolicyBriefSchema(Schema):
    """One version of the policy."""

    version = shown(fields.Integer, "Its number.", 12)
    author = shown(fields.String, "The operator whose key applied it, or where else it came from.", "alice")
    at = shown(
        fields.Integer,
        "When it was applied (milliseconds since 1970, by the store's clock).",
        1_700_000_000_000,
    )
    reason = shown(fields.String, "Why it was applied.", "voice first in Spain")


class PolicyVersionSchema(PolicyBriefSchema):
    """One version of the policy with its text."""

    text = _policy_field(required=True)


class PolicyAppliedSchema(PolicyBriefSchema, PolicyCheckedSchema):
    """The version that is now in force."""

    changed = shown(fields.Boolean, "False if this text was in force already.", example=True)


class PolicyHistorySchema(Schema):
    """The versions of the policy."""

    versions = shown_list(PolicyBriefSchema, "The versions, newest first.")


class PolicyDiffSchema(Schema):
    """The difference between two versions."""

    diff = shown(
        fields.String,
        "A unified diff; empty if the versions are equal.",
        '-wait = "30s"\n+wait = "20s"\n',
    )


class SimulateSchema(RouteSchema):
    """A send to simulate."""

    app = text_field(
        "must be the name of an app",
        r"[a-z][a-z0-9_-]{0,31}",
        "The app. If omitted, the policy's first.",
        "web",
    )
    origin = text_field("must be an origin", r"[!-~]{1,99}", "The page.", "https://app.example.com")
    app_hash = text_field("must be 11 characters", r"[A-Za-z0-9+/]{11}", "As in a send.", "FA+9qCX9VSu")
    text = _policy_field(required=False)


class SimulationSchema(Schema):
    """What a number would receive, and why."""

    number = shown(
        fields.Dict,
        "How the number is understood: masked number, country, type.",
        {"country": "GB"},
    )
    app = shown(fields.String, "The app that would send.", "web")
    route = shown(
        fields.Dict,
        "The route that serves the number, and why earlier ones do not.",
        {"place": 0},
        allow_none=True,
    )
    steps = shown(
        fields.List,
        "The steps: channel, accounts in order, wait and where it comes from, text, parts.",
        [{"channel": "sms", "upstreams": ["main"], "wait": 30}],
        cls_or_instance=fields.Dict(),
    )
    guard = shown(
        fields.List,
        "The limits that the send would count towards.",
        [{"rule": "number", "mode": "enforce", "limits": ["3 in 600 s: refuse"]}],
        cls_or_instance=fields.Dict(),
    )
    verdict = fields.Dict(
        allow_none=True,
        metadata={
            "description": "What the guard would decide now for an unknown browser, and which limits are exceeded.",
            "example": {"verdict": "allow", "findings": []},
        },
    )
    challenge = fields.Dict(
        metadata={"description": "The rules that the challenge would follow.", "example": {"ttl": 300}}
    )
    passed_over = fields.List(
        fields.Dict(),
        metadata={
            "description": "If no route serves the number: why each route does not.",
            "example": [],
        },
    )
    problem = fields.String(
        allow_none=True,
        metadata={"description": "The error that the send would cause, if any.", "example": "no_route"},
    )
