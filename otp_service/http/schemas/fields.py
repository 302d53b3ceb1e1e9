"""The forms of fields that several requests and answers share.

Knows each form, its rule and its pattern. Must not know any single call.
"""

import re
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from otp_service.access.api_keys import read_lifetime
from otp_service.upstream.channels import CHANNELS

BINDING_PARTS, BINDING_LENGTH, BINDING_TEXT = 8, 64, 256


def text_field(rule: str, pattern: str, about: str, example: str, **kwargs: Any) -> fields.String:  # noqa: ANN401
    """Make a field for a string that matches `pattern` as a whole; `rule` says so in words."""
    return fields.String(
        validate=validate.Regexp(re.compile(rf"(?:{pattern})\Z"), error=rule),
        metadata={"description": about, "example": example, "pattern": f"^(?:{pattern})$"},
        error_messages={"invalid": "must be a string", "null": "must not be null"},
        **kwargs,
    )


class Binding(fields.Field[Any]):
    """A line of text, or a flat object of lines."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - marshmallow's signature
        if isinstance(value, str) and 1 <= len(value) <= BINDING_TEXT:
            return value
        if isinstance(value, dict) and 1 <= len(value) <= BINDING_PARTS:
            parts = [*value.keys(), *value.values()]
            if all(isinstance(part, str) and 1 <= len(part) <= BINDING_LENGTH for part in parts):
                return value
        raise ValidationError(
            f"must be a string of 1 to {BINDING_TEXT} signs, or an object of up to {BINDING_PARTS} strings "
            f"of 1 to {BINDING_LENGTH} signs"
        )


class Strict(Schema):
    """Refuses fields that it does not know."""

    error_messages = {"unknown": "is not a field of this request"}  # noqa: RUF012 - typed so by its base


def binding_field(about: str) -> Binding:
    """Make a field for what a code is tied to."""
    line = {"type": "string", "minLength": 1, "maxLength": BINDING_LENGTH}
    forms = [
        {"type": "string", "minLength": 1, "maxLength": BINDING_TEXT},
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": BINDING_PARTS,
            "propertyNames": line,
            "additionalProperties": line,
        },
    ]
    example = {"amount": "12.00 EUR", "payee": "Acme"}
    return Binding(metadata={"description": about, "example": example, "oneOf": forms})


def channel_field() -> fields.String:
    """Make a field for the channel that the person chose."""
    return fields.String(
        validate=validate.OneOf(CHANNELS, error=f"must be one of {', '.join(CHANNELS)}"),
        metadata={"description": "The channel the person chose; it is tried first.", "example": "sms"},
        error_messages={"invalid": "must be a string", "null": "must not be null"},
    )


def human_proof_field() -> fields.String:
    """Make a field for the result of a human check."""
    return text_field(
        "must be the result of a human check, 4096 signs at most",
        r"[\x21-\x7e]{1,4096}",
        "What the widget made of human_check, after the problem human_check_required.",
        "eyJjaGFsbGVuZ2UiOnsuLi59fQ==",
    )


def shown(kind: type[fields.Field[Any]], about: str, example: object, **kwargs: Any) -> Any:  # noqa: ANN401
    """Make a field that every answer has."""
    return kind(required=True, metadata={"description": about, "example": example}, **kwargs)


def reason_field() -> fields.String:
    """Make a field for the reason of a change."""
    return text_field(
        "must be 1 to 200 signs on one line",
        r"[^\x00-\x1f]{1,200}",
        "Why; kept in the history.",
        "voice first in Spain",
        required=True,
    )


def line_field(about: str, example: str, most: int, **kwargs: Any) -> fields.String:  # noqa: ANN401 - as text_field
    """Make a field for a line of at most `most` characters."""
    rule = f"must be 1 to {most} signs on one line"
    return text_field(rule, rf"[^\x00-\x1f\x7f]{{1,{most}}}", about, example, **kwargs)


class Duration(fields.Field[int]):
    """Seconds, written as 90d or 24h."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401 - marshmallow's signature
        try:
            return read_lifetime(value)
        except (TypeError, ValueError):
            raise ValidationError("must be a time such as 90d or 24h, up to 3650d") from None


def duration_field(about: str, example: str, **kwargs: Any) -> Duration:  # noqa: ANN401 - as text_field
    """Make a field for a length of time."""
    written = {"type": "string", "pattern": "^[0-9]{1,9}[smhd]$"}
    return Duration(metadata={"description": about, "example": example} | written, **kwargs)
