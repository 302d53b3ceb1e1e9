"""The fields of the policy's tables, and the base of every table's form.

Pure. Must not know any table.
"""

import re
from calendar import monthrange, timegm
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, validate

from otp_service.durations import DAY, read_duration
from otp_service.phone import is_country
from otp_service.policy.limits import Window
from otp_service.settings import is_loopback
from otp_service.typed import is_line


class Line(validate.Validator):
    """Checks that a text matches a pattern and has no control or format characters."""

    def __init__(self, pattern: str | re.Pattern[str], *, error: str) -> None:
        self._matches = validate.Regexp(pattern, error=error)
        self._error = error

    def __call__(self, value: str) -> str:
        """Return the text. Raises ValidationError."""
        if not is_line(value):
            raise ValidationError(self._error)
        return self._matches(value)


ORIGIN = (
    r"((https|capacitor|ionic|tauri)://[a-z0-9]([a-z0-9.-]*[a-z0-9])?"
    r"|http://(localhost|tauri\.localhost|127\.0\.0\.1))(:[0-9]{1,5})?\Z"
)
"""What the origin of an app's pages matches. Plain HTTP is for this machine only."""
ONE_LINE = Line(r"[^\x00-\x1f\x7f]{1,40}\Z", error="must be 1 to 40 visible characters on one line")


class TrueOrFalse(fields.Boolean):
    """True or false, and nothing that is taken for one of them, such as 1."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:  # noqa: ANN401 - marshmallow's signature
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Duration(fields.Field[int]):
    """Seconds, written as "30s", "5m", "24h" or "1d"."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401 - marshmallow's signature
        try:
            return read_duration(value, max_digits=6)
        except ValueError:
            raise ValidationError('must be a time such as "30s", "5m" or "24h"') from None


class Day(fields.Field[int]):
    """The milliseconds from 1970 to the beginning of a day in UTC, written as "2026-11-27"."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401 - marshmallow's signature
        match = (
            re.fullmatch(r"(2[0-9]{3})-(0[1-9]|1[0-2])-([0-3][0-9])", value)
            if isinstance(value, str)
            else None
        )
        year, month, day = map(int, match.groups()) if match else (2000, 1, 0)
        if not 0 < day <= monthrange(year, month)[1]:
            raise ValidationError('must be a day such as "2026-11-27"')
        return timegm((year, month, day, 0, 0, 0)) * 1000


def check_url(url: str) -> None:
    """Check a URL to which a secret is sent. Raises ValidationError if others could read the secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return  # the field itself reports it
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValidationError("must not contain a user, password, query or fragment")  # it may hold the token
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValidationError(
            "must be https, because a secret is sent to it (http is allowed for localhost only)"
        )


class LimitIn(fields.Field[Window]):
    """A limit within a time, written as "3/10m"."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Window:  # noqa: ANN401 - marshmallow's signature
        match = (
            re.fullmatch(r"([1-9][0-9]{0,6})/([1-9][0-9]{0,4})?([smhd])", value)
            if isinstance(value, str)
            else None
        )
        if not match:
            raise ValidationError('must be a limit such as "3/10m" or "5/h"')
        window = Window(int(match[1]), read_duration(f"{match[2] or 1}{match[3]}"))
        if window.seconds > DAY:
            raise ValidationError("must not be longer than a day")
        return window


class Named(fields.Field[dict[str, Any]]):
    """A table of named values of one kind. `check` raises ValidationError for a wrong name."""

    def __init__(
        self,
        inner: fields.Field[Any],
        check: Callable[[str], object] = lambda _name: None,
        **kwargs: Any,  # noqa: ANN401 - as fields.Field
    ) -> None:
        super().__init__(**kwargs)
        self._inner, self._check = inner, check

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Any]:  # noqa: ANN401 - marshmallow's signature
        if not isinstance(value, dict):
            raise ValidationError("must be a table")
        read: dict[str, Any] = {}
        wrong: dict[str, Any] = {}
        for name, inner in value.items():
            try:
                self._check(name)
                read[name] = self._inner.deserialize(inner)
            except ValidationError as error:
                wrong[name] = error.normalized_messages()  # type: ignore[no-untyped-call]
        if wrong:
            raise ValidationError(wrong)
        return read


def between(low: int, high: int, unit: str = "") -> validate.Range:
    """Require a number within bounds."""
    return validate.Range(low, high, error=f"must be from {low} to {high}{unit}")


def one_of(*words: str) -> validate.OneOf:
    """Require one of a few words."""
    named = words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    return validate.OneOf(words, error=f"must be {named}")


def some(inner: fields.Field[Any], **kwargs: Any) -> fields.List[Any]:  # noqa: ANN401 - as fields.List
    """Declare a list that must not be empty."""
    return fields.List(inner, validate=validate.Length(min=1, error="must not be empty"), **kwargs)


def countries(**kwargs: Any) -> fields.List[str]:  # noqa: ANN401 - as fields.List
    """Declare a list of countries (ISO 3166 alpha-2)."""
    return fields.List(fields.String(validate=check_country), **kwargs)


def check_country(code: str) -> None:
    """Check that a country (ISO 3166 alpha-2) has phone numbers. Raises ValidationError."""
    if not re.fullmatch(r"[A-Z]{2}", code):
        raise ValidationError("must be two capital letters")
    if not is_country(code):
        raise ValidationError(f"country {code} has no phone numbers")


class Form(Schema):
    """A table of the document. `build` makes its value, and turns lists into tuples.

    `blank` replaces required fields that are broken, so that everything else can still be checked.
    """

    error_messages = {"type": "must be a table", "unknown": "unknown field"}  # noqa: RUF012 - no ClassVar there
    shape: ClassVar[Callable[..., Any]]
    blank: ClassVar[Mapping[str, Any]] = {}

    def build(self, values: Mapping[str, Any], **more: Any) -> Any:  # noqa: ANN401 - whatever `shape` is
        """Make the value of a loaded table."""
        return type(self).shape(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}, **more
        )


class Inner(fields.Nested):
    """A table inside a table, which is built together with it."""

    def _deserialize(self, value: Any, *arguments: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - marshmallow's signature
        form = self.schema
        assert isinstance(form, Form)  # noqa: S101 - for the type checker
        loaded = super()._deserialize(value, *arguments, **kwargs)
        try:
            return form.build(loaded)
        except ValueError as error:
            raise ValidationError(str(error)) from None
