"""What the service answers, as typed values. All times are seconds.

Knows the fields of each answer. Must not know HTTP. Fields that it does not know are ignored: answers may get new ones.
What must not reach a log (ids of challenges, tokens, numbers) is left out of `repr`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Channel: TypeAlias = Literal["sms", "whatsapp", "voice", "rcs", "mip"]
Status: TypeAlias = Literal["pending", "verified", "exhausted", "expired", "cancelled", "undeliverable"]
DeliveryStatus: TypeAlias = Literal[
    "queued",
    "sending",
    "unknown",
    "accepted",
    "sent",
    "refused",
    "failed",
    "delivered",
    "read",
    "superseded",
    "not_sent",
]
Binding: TypeAlias = str | Mapping[str, str]
"""What a code is tied to: a line of text, or up to eight named lines such as amount and payee."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to deliver a code."""

    channel: Channel
    status: DeliveryStatus


@dataclass(frozen=True, slots=True)
class FieldError:
    """A field or header of the request, and the rule that it breaks."""

    field: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanCheck:
    """The check that a page must show. `challenge` is for the ALTCHA widget, `site_key` for a CAPTCHA vendor's."""

    kind: Literal["altcha", "siteverify"]
    expires_in: int | None = None
    challenge: Mapping[str, Any] | None = None
    site_key: str | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """A channel that a number would get. A send that names no channel begins with the `first`."""

    channel: Channel
    first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """The state of a challenge, with what a screen shows."""

    challenge_id: str = field(repr=False)
    status: Status
    to: str
    """The number, masked."""
    channel: Channel
    purpose: str
    expires_in: int
    resend_in: int
    sends_left: int
    checks_left: int
    code_length: int
    channels_left: tuple[Channel, ...]
    deliveries: tuple[Delivery, ...]
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified(Challenge):
    """A challenge whose code was right. `token` is the proof; redeem it, or check it offline."""

    token: str = field(repr=False)
    token_expires_in: int
    device_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token proves. `iat` and `exp` are seconds since 1970."""

    iss: str
    aud: str
    """The app that it was issued for."""
    sub: str
    """An opaque id of the number, always the same within one app."""
    phone_number: str = field(repr=False)
    """The verified number (E.164)."""
    phone_number_verified: bool
    purpose: str
    set_by: Literal["page", "server"]
    """Who set purpose, reference and binding. The user of a page can change them."""
    amr: tuple[str, ...]
    channel: Channel
    iat: int
    exp: int
    jti: str
    binding: Binding | None = None
    reference: str | None = None
    session: str | None = None
    """An opaque id of the session that a server named; not the name itself."""


def options_from(answer: Mapping[str, Any]) -> tuple[Option, ...]:
    """Read the channels of a number. Raises KeyError or TypeError if a field is missing."""
    return tuple(Option(channel=one["channel"], first=one["first"]) for one in answer["channels"])


def challenge_from(answer: Mapping[str, Any]) -> Challenge:
    """Read a challenge. Raises KeyError or TypeError if a field is missing."""
    return Challenge(**_challenge_fields(answer))


def verified_from(answer: Mapping[str, Any]) -> Verified:
    """Read a verified challenge. Raises KeyError or TypeError if a field is missing."""
    return Verified(
        **_challenge_fields(answer),
        token=answer["token"],
        token_expires_in=answer["token_expires_in"],
        device_token=answer.get("device_token"),
    )


def claims_from(answer: Mapping[str, Any]) -> Claims:
    """Read the claims of a token. Raises KeyError or TypeError if a claim is missing."""
    known = {name: answer[name] for name in _CLAIMS if name in answer}
    return Claims(**{**known, "amr": tuple(answer["amr"])})


_CLAIMS = tuple(Claims.__dataclass_fields__)
_SHOWN = tuple(Challenge.__dataclass_fields__)


def _challenge_fields(answer: Mapping[str, Any]) -> dict[str, Any]:
    deliveries = (Delivery(one["channel"], one["status"]) for one in answer["deliveries"])
    known = {name: answer[name] for name in _SHOWN if name in answer}
    return {**known, "channels_left": tuple(answer["channels_left"]), "deliveries": tuple(deliveries)}
