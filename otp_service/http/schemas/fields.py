"""The forms of fields that several requests and answers share.

Knows each form, its rule and its pattern. Must not know any single call.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from marshmallow import Schema, ValidationError, fields, missing, validate

from otp_service import typed
from otp_service.access.api_keys import read_lifetime
from otp_service.http.client_address import canonical
from otp_service.ops.audit import REASON, REASON_RULE
from otp_service.policy.fields import Line, TrueOrFalse
from otp_service.upstream.channels import CHANNELS

CODE_TEXT = 64
"""Characters that a typed code may have, with all marks between its digits."""
NUMBER_TEXT = 160
"""Characters that a typed number may have, with the marks that cannot be seen."""
ADDRESS_TEXT = 64
"""Characters that an IP address may have, with its zone and port."""
BINDING_PARTS, BINDING_LENGTH, BINDING_TEXT = 8, 64, 256
BINDING_RULE = (
    f"must be a string of 1 to {BINDING_TEXT} visible characters, or an object of up to {BINDING_PARTS} strings "
    f"of 1 to {BINDING_LENGTH} visible characters"
)
_Messages = dict[str, str | list[Any] | dict[Any, Any]]
_STRING: _Messages = {"invalid": "must be a string", "null": "must not be null"}
_BOOLEAN: _Messages = {"invalid": "must be true or false", "null": "must not be null"}
_INTEGER: _Messages = {"invalid": "must be a whole number", "null": "must not be null"}


class Strict(Schema):
    """A request: refuses fields that it does not know."""

    error_messages = {  # noqa: RUF012 - typed so by its base
        "unknown": "is not a field of this request",
        "type": "must be a JSON object",
    }


# Fields of requests.


def text_field(
    rule: str,
    pattern: str,
    about: str,
    example: str,
    *,
    check: type[validate.Regexp | Line] = validate.Regexp,
    **kwargs: Any,  # noqa: ANN401 - as fields.String
) -> fields.String:
    """Make a field for a string that matches `pattern` as a whole; `rule` says the same in words."""
    return fields.String(
        validate=check(re.compile(rf"(?:{pattern})\Z"), error=rule),
        metadata={"description": about, "example": example, "pattern": f"^(?:{pattern})$"},
        error_messages=_STRING,
        **kwargs,
    )


def purpose_field(about: str, **kwargs: Any) -> fields.String:  # noqa: ANN401 - as fields.String
    """Make a field for what a proof is for."""
    rule = "must be 1 to 32 lower-case letters, digits, '.', '-' or '_'"
    return text_field(rule, r"[a-z0-9._-]{1,32}", about, "login", **kwargs)


def reference_field(about: str) -> fields.String:
    """Make a field for an app's own id of a challenge."""
    return text_field("must be 1 to 64 visible ASCII characters", r"[\x21-\x7e]{1,64}", about, "signup-4711")


def session_field(about: str) -> fields.String:
    """Make a field for an app's own id of a session."""
    return text_field("must be 1 to 128 visible ASCII characters", r"[\x21-\x7e]{1,128}", about, "b7a9e4c1")


class _Code(fields.String):
    """A code as typed. The rule is for what remains of it, so the schema has no pattern."""

    def _deserialize(self, value: Any, *arguments: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - marshmallow's signature
        text = super()._deserialize(value, *arguments, **kwargs)
        code = typed.digits(text) if len(text) <= CODE_TEXT else ""
        if not re.fullmatch("[0-9]{6,10}", code):
            raise ValidationError("must be a string of 6 to 10 digits")
        return code


def code_field(about: str, example: str) -> fields.String:
    """Make a field for a code as a person types or pastes it. Its value has ASCII digits only."""
    return _Code(
        required=True,
        metadata={"description": about, "example": example, "minLength": 6, "maxLength": CODE_TEXT},
        error_messages=_STRING,
    )


class _Number(fields.String):
    """A number as typed. Marks that cannot be seen count for nothing, so the schema has no pattern."""

    def _deserialize(self, value: Any, *arguments: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - marshmallow's signature
        text = super()._deserialize(value, *arguments, **kwargs)
        number = typed.visible(text).strip() if len(text) <= NUMBER_TEXT else ""
        if not re.fullmatch(r"[^\x00-\x1f]{3,40}", number):
            raise ValidationError("must be 3 to 40 characters")
        return number


def number_field(about: str, example: str, *, required: bool = True) -> fields.String:
    """Make a field for a phone number as a person types or pastes it."""
    return _Number(
        required=required,
        metadata={"description": about, "example": example, "minLength": 3, "maxLength": NUMBER_TEXT},
        error_messages=_STRING,
    )


def line_field(about: str, example: str, most: int, **kwargs: Any) -> fields.String:  # noqa: ANN401 - as text_field
    """Make a field for a line of at most `most` characters."""
    rule = f"must be 1 to {most} visible characters on one line"
    return text_field(rule, rf"[^\x00-\x1f\x7f]{{1,{most}}}", about, example, check=Line, **kwargs)


def reason_field() -> fields.String:
    """Make a field for the reason of a change."""
    about = "Why the change is made; recorded in the history and the log."
    return text_field(REASON_RULE, REASON, about, "voice first in Spain", check=Line, required=True)


class _Address(fields.String):
    """An IP address as proxies and frameworks write it. Its value is canonical and has no port."""

    def _deserialize(self, value: Any, *arguments: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - marshmallow's signature
        text = super()._deserialize(value, *arguments, **kwargs)
        address = canonical(text) if len(text) <= ADDRESS_TEXT else ""
        if not address:
            raise ValidationError("must be an IP address, such as 192.0.2.1 or 2001:db8::1")
        return address


def address_field(about: str) -> fields.String:
    """Make a field for an IP address. A port after it is ignored."""
    return _Address(
        metadata={"description": about, "example": "192.0.2.1", "minLength": 2, "maxLength": ADDRESS_TEXT},
        error_messages=_STRING,
    )


def choice_field(choices: Iterable[str], about: str, example: str, **kwargs: Any) -> fields.String:  # noqa: ANN401
    """Make a field for one of several words."""
    words = list(choices)
    return fields.String(
        validate=validate.OneOf(words, error=f"must be one of {', '.join(words)}"),
        metadata={"description": about, "example": example},
        error_messages=_STRING,
        **kwargs,
    )


def boolean_field(about: str, *, example: bool, default: bool | None = None) -> fields.Boolean:
    """Make a field for true or false, and nothing that is taken for one of them."""
    return TrueOrFalse(
        metadata={"description": about, "example": example},
        error_messages=_BOOLEAN,
        load_default=missing if default is None else default,
    )


class _Whole(fields.Integer):
    """A whole number. 1.0 is one in JSON, too (JSON Schema, 6.1.1)."""

    def _deserialize(self, value: Any, *arguments: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - marshmallow's signature
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        return super()._deserialize(whole, *arguments, **kwargs)


def integer_field(least: int, most: int, rule: str, about: str, example: int) -> fields.Integer:
    """Make a field for a whole number from `least` to `most`."""
    return _Whole(
        strict=True,
        validate=validate.Range(least, most, error=rule),
        metadata={"description": about, "example": example},
        error_messages=_INTEGER,
    )


def channel_field() -> fields.String:
    """Make a field for the channel that the person chose."""
    return choice_field(CHANNELS, "The channel that the person chose, tried first.", "sms")


def human_proof_field() -> fields.String:
    """Make a field for the result of a human check."""
    return text_field(
        "must be the result of a human check, at most 4096 characters",
        r"[\x21-\x7e]{1,4096}",
        "The result of the check in human_check, after a human_check_required problem.",
        "eyJjaGFsbGVuZ2UiOnsuLi59fQ==",
    )


class Binding(fields.Field[Any]):
    """What a code is tied to: a line of text, or a flat object of lines. Each is normalised (NFC)."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - marshmallow's signature
        if isinstance(value, str):
            return _bound(value, BINDING_TEXT)
        if not isinstance(value, dict) or not 1 <= len(value) <= BINDING_PARTS:
            raise ValidationError(BINDING_RULE)
        bound = {_bound(name, BINDING_LENGTH): _bound(part, BINDING_LENGTH) for name, part in value.items()}
        if len(bound) != len(value):
            raise ValidationError(BINDING_RULE)
        return bound


def _bound(text: object, most: int) -> str:
    """Normalise a part (NFC): two systems may spell one text in two ways."""
    normal = unicodedata.normalize("NFC", text) if isinstance(text, str) else ""
    if not 1 <= len(normal) <= most or not typed.is_line(normal):
        raise ValidationError(BINDING_RULE)
    return normal


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


class Duration(fields.Field[int]):
    """A length of time of at least `shortest`, written as 90d or 24h, in seconds."""

    def __init__(self, *, shortest: int, **kwargs: Any) -> None:  # noqa: ANN401 - as fields.Field
        super().__init__(**kwargs)
        self._shortest = shortest

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401 - marshmallow's signature
        try:
            return read_lifetime(value, shortest=self._shortest)
        except (TypeError, ValueError):
            rule = f"must be a duration such as 90d or 24h, from {self._shortest}s to 3650d"
            raise ValidationError(rule) from None


def duration_field(about: str, example: str, *, shortest: int) -> Duration:
    """Make a field for a length of time of at least `shortest` seconds."""
    written = {"type": "string", "pattern": "^[0-9]{1,9}[smhd]$"}
    return Duration(shortest=shortest, metadata={"description": about, "example": example} | written)


# Fields of answers.


def shown(kind: type[fields.Field[Any]], about: str, example: object, **kwargs: Any) -> Any:  # noqa: ANN401
    """Make a field that every answer of its schema has."""
    return kind(required=True, metadata={"description": about, "example": example}, **kwargs)


def shown_word(words: Iterable[str], about: str, example: str) -> Any:  # noqa: ANN401 - as shown
    """Make a field that every answer has: one of several words."""
    return shown(fields.String, about, example, validate=validate.OneOf(list(words)))


def shown_list(of: type[Schema], about: str, *examples: object) -> Any:  # noqa: ANN401 - as shown
    """Make a field that every answer has: a list of records."""
    return shown(fields.List, about, list(examples), cls_or_instance=fields.Nested(of))
