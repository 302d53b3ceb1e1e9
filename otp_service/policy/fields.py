"""The fields that tables of the policy are made of, and what every table's form has.

Pure. Must not know any table.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, ClassVar
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, validate

from otp_service.durations import DAY, read_duration
from otp_service.phone import is_country
from otp_service.policy.limits import Window

ONE_LINE = validate.Regexp(r"[^\x00-\x1f\x7f]{1,40}\Z", error="must be 1 to 40 signs on one line")


class Duration(fields.Field[int]):
    """Seconds, written as "30s", "5m", "24h" or "1d"."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401 - marshmallow's signature
        try:
            return read_duration(value, max_digits=6)
        except ValueError:
            raise ValidationError('must be a time such as "30s", "5m" or "24h"') from None


def check_url(url: str) -> None:
    """See that a URL that a secret is sent to shows that secret to nobody else."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return  # told by the field itself
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValidationError("must have no user, password, query or fragment")  # it may hold the token
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValidationError("must be https, as a secret would travel in clear (http to localhost only)")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class LimitIn(fields.Field[Window]):
    """A limit in a time, written as "3/10m"."""

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
            raise ValidationError("must not look back further than a day")
        return window


class Named(fields.Field[dict[str, Any]]):
    """A table of values of one kind, by names that `check` raises ValidationError for where they are wrong."""

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
    """Ask for a figure within bounds."""
    return validate.Range(low, high, error=f"must be from {low} to {high}{unit}")


def one_of(*words: str) -> validate.OneOf:
    """Ask for one of a few words."""
    named = words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    return validate.OneOf(words, error=f"must be {named}")


def some(inner: fields.Field[Any], **kwargs: Any) -> fields.List[Any]:  # noqa: ANN401 - as fields.List
    """Declare a list that must not be empty."""
    return fields.List(inner, validate=validate.Length(min=1, error="must not be empty"), **kwargs)


def countries(**kwargs: Any) -> fields.List[str]:  # noqa: ANN401 - as fields.List
    """Declare a list of countries (ISO 3166 alpha-2)."""
    return fields.List(fields.String(validate=check_country), **kwargs)


def check_country(code: str) -> None:
    """Ask for a country that has numbers (ISO 3166 alpha-2)."""
    if not re.fullmatch(r"[A-Z]{2}", code):
        raise ValidationError("must be two capital letters")
    if not is_country(code):
        raise ValidationError(f"there are no numbers of a country {code}")


class Form(Schema):
    """A table of the document; `build` makes its value, lists becoming tuples.

    `blank` stands for required fields that are broken, so that all else can still be checked.
    """

    error_messages = {"type": "must be a table", "unknown": "unknown field"}  # noqa: RUF012 - no ClassVar there
    shape: ClassVar[Callable[..., Any]]
    blank: ClassVar[Mapping[str, Any]] = {}

    def build(self, values: Mapping[str, Any], **more: Any) -> Any:  # noqa: ANN401 - whatever `shape` is
        """Make the value of a table that was loaded."""
        return type(self).shape(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}, **more
        )


class Inner(fields.Nested):
    """A table in a table, which is built with it."""

    def _deserialize(self, value: Any, *arguments: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - marshmallow's signature
        form = self.schema
        assert isinstance(form, Form)  # noqa: S101 - for the type checker
        loaded = super()._deserialize(value, *arguments, **kwargs)
        try:
            return form.build(loaded)
        except ValueError as error:
            raise ValidationError(str(error)) from None
