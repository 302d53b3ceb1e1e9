"""Methods and values have the fields of openapi.yaml: no more, no fewer, with the same words."""

import inspect
from collections.abc import Callable
from typing import Any, get_args

import pytest

from otp_client import Challenge, Channel, Claims, Delivery, Option, OtpClient, Status, Verified, model
from tests.support.http_api import documented

SCHEMAS = documented()["components"]["schemas"]


def properties(name: str) -> set[str]:
    """Return the members of a schema, with those that it extends."""
    schema = SCHEMAS[name]
    parts = schema.get("allOf", [schema])
    names: set[str] = set()
    for part in parts:
        names |= properties(part["$ref"].rpartition("/")[2]) if "$ref" in part else set(part["properties"])
    return names


@pytest.mark.parametrize(
    ("method", "schema", "nested"),
    [
        (OtpClient.send, "Send", set()),
        (OtpClient.verify, "Verify", set()),
        (OtpClient.options, "OptionsRequest", set()),
        (OtpClient.resend, "Resend", {"challenge_id"}),
        (OtpClient.redeem, "Redeem", {"expect"} ^ properties("Expect")),
    ],
)
def test_a_method_takes_the_fields_of_its_request(
    method: Callable[..., object], schema: str, nested: set[str]
) -> None:
    """And an idempotency key; what a token is expected to be for stands beside it."""
    taken = set(inspect.signature(method).parameters) - {"self", "idempotency_key"}
    assert taken == properties(schema) ^ nested


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (Challenge, "Challenge"),
        (Delivery, "Delivery"),
        (Option, "Option"),
        (Verified, "Verified"),
        (Claims, "Claims"),
    ],
)
def test_a_value_has_the_fields_of_its_answer(kind: Any, schema: str) -> None:  # noqa: ANN401 - dataclasses
    """A new field of the service fails here until the client has it."""
    assert set(kind.__dataclass_fields__) == properties(schema)


def test_words_are_those_of_the_service() -> None:
    """Channels and states."""
    assert list(get_args(Channel)) == SCHEMAS["Channel"]["enum"]
    assert list(get_args(Status)) == SCHEMAS["Challenge"]["properties"]["status"]["enum"]
    assert list(get_args(model.DeliveryStatus)) == SCHEMAS["Delivery"]["properties"]["status"]["enum"]


ANSWER = {
    "challenge_id": "2aH3b0sYp1c7mV9xQ4tLkZ0w",
    "status": "pending",
    "to": "+1********00",
    "channel": "sms",
    "purpose": "login",
    "expires_in": 300,
    "resend_in": 30,
    "sends_left": 3,
    "checks_left": 5,
    "code_length": 6,
    "channels_left": ["sms", "voice"],
    "deliveries": [{"channel": "sms", "status": "accepted", "new": True}],
    "new": "a field of a later version",
}
CLAIMS = {
    "iss": "https://otp.example.com",
    "aud": "web",
    "sub": "p0Yk5c1nS0a7",
    "phone_number": "+12025550100",
    "phone_number_verified": True,
    "purpose": "login",
    "set_by": "server",
    "amr": ["otp", "sms"],
    "channel": "sms",
    "iat": 1790000000,
    "exp": 1790000300,
    "jti": "Zk1p0Yk5c1n",
    "new": "a claim of a later version",
}


def test_new_fields_are_ignored() -> None:
    """In an answer, in a part of it and in a token."""
    challenge = model.challenge_from(ANSWER)
    assert challenge.deliveries == (Delivery("sms", "accepted"),)
    assert challenge.channels_left == ("sms", "voice")
    assert challenge.reference is None
    assert model.claims_from(CLAIMS).amr == ("otp", "sms")


def test_no_secret_is_in_a_repr() -> None:
    """Whoever logs a value logs no id, token or number."""
    verified = model.verified_from(
        {**ANSWER, "token": "a.secret.token", "token_expires_in": 300, "device_token": "a.secret.device"}
    )
    shown = repr(verified) + repr(model.challenge_from(ANSWER)) + repr(model.claims_from(CLAIMS))
    for secret in ("2aH3b0sYp1c7mV9xQ4tLkZ0w", "secret", "+12025550100"):
        assert secret not in shown
