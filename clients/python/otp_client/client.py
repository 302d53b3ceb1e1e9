"""The client: one method for each call of an app.

Knows paths and fields. Must not know HTTP: `transport.py` sends, repeats and gives up.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from otp_client.model import (
    Binding,
    Challenge,
    Channel,
    Claims,
    Option,
    Verified,
    challenge_from,
    claims_from,
    options_from,
    verified_from,
)
from otp_client.problems import ChallengeNotFound, UnexpectedAnswer
from otp_client.tokens import TokenChecker
from otp_client.transport import Call, Transport

_Answer = TypeVar("_Answer")


class OtpClient:
    """Calls one service as one app. Make one for the process; many threads may use it.

    Each method raises `NoAnswer` if no answer came within `timeout`, `UnexpectedAnswer` if something else than the
    service answered, ValueError for an argument that HTTP cannot carry, and otherwise the subclass of `Problem` for the
    code of the refusal. A call whose answer is lost is repeated with the same idempotency key, so that it is done once.
    To repeat it later, give the key that the error has.
    """

    def __init__(self, base_url: str, key: str, *, timeout: float = 15.0, issuer: str | None = None) -> None:
        """`base_url` is the service's address and `key` a secret or publishable key of the app.

        `timeout` is the time of a call with all its repetitions, in seconds. `issuer` is what tokens name as `iss`;
        give it if it is not `base_url`. Raises ValueError.
        """
        self._transport = Transport(base_url, key, timeout=timeout)
        self._tokens = TokenChecker(self._read_keys, issuer or self._transport.base_url)

    def send(
        self,
        to: str,
        *,
        country: str | None = None,
        purpose: str | None = None,
        channel: Channel | None = None,
        locale: str | None = None,
        reference: str | None = None,
        binding: Binding | None = None,
        app_hash: str | None = None,
        session: str | None = None,
        other_factor: bool | None = None,
        address: str | None = None,
        device_token: str | None = None,
        human_proof: str | None = None,
        idempotency_key: str | None = None,
    ) -> Challenge:
        """Send a code to a number, in any common notation. The answer does not wait for the message.

        `purpose` is `login` if omitted. `session`, `other_factor` and `address` need a secret key; pass the person's
        `address`, so that one person's limits are not everyone's.
        """
        body = {
            "to": to,
            "country": country,
            "purpose": purpose,
            "channel": channel,
            "locale": locale,
            "reference": reference,
            "binding": binding,
            "app_hash": app_hash,
            "session": session,
            "other_factor": other_factor,
            "address": address,
            "device_token": device_token,
            "human_proof": human_proof,
        }
        return self._post("/otp/send", body, idempotency_key, challenge_from)

    def options(
        self, to: str, *, country: str | None = None, purpose: str | None = None, address: str | None = None
    ) -> tuple[Option, ...]:
        """List the channels that a number would get, in their order, before anything is sent.

        The person's `address` needs a secret key; each address may ask 60 times a minute.
        """
        body = _given({"to": to, "country": country, "purpose": purpose, "address": address})
        return self._call(Call(method="POST", path="/otp/options", body=body), options_from)

    def verify(
        self,
        challenge_id: str,
        code: str,
        *,
        binding: Binding | None = None,
        remember_device: bool | None = None,
        idempotency_key: str | None = None,
    ) -> Verified:
        """Check a code as the person typed it. Raises WrongCode, NoAttemptsLeft or ChallengeNotFound, among others."""
        body = {
            "challenge_id": challenge_id,
            "code": code,
            "binding": binding,
            "remember_device": remember_device,
        }
        return self._post("/otp/verify", body, idempotency_key, verified_from)

    def resend(
        self,
        challenge_id: str,
        *,
        channel: Channel | None = None,
        human_proof: str | None = None,
        idempotency_key: str | None = None,
    ) -> Challenge:
        """Send another code of a challenge, by `channel` or the next step of its route. Earlier codes stay valid."""
        body = {"channel": channel, "human_proof": human_proof}
        return self._post(f"{_path_of(challenge_id)}/resend", body, idempotency_key, challenge_from)

    def status(self, challenge_id: str) -> Challenge:
        """Read a challenge, until ten minutes after its end."""
        return self._call(Call(method="GET", path=_path_of(challenge_id)), challenge_from)

    def cancel(self, challenge_id: str) -> Challenge:
        """Make the codes of a challenge invalid."""
        return self._call(Call(method="DELETE", path=_path_of(challenge_id)), challenge_from)

    def redeem(
        self,
        token: str,
        *,
        purpose: str | None = None,
        binding: Binding | None = None,
        reference: str | None = None,
        session: str | None = None,
        accept_review: bool | None = None,
        idempotency_key: str | None = None,
    ) -> Claims:
        """Check a token and spend it, once; needs a secret key. A token for something else than given is not spent.

        One of a review number, whose `amr` is `review`, needs `accept_review`: nobody proved the number.
        Raises TokenInvalid, TokenSpent, TokenMismatch or ReviewToken, among others.
        """
        expect = _given({"purpose": purpose, "binding": binding, "reference": reference, "session": session})
        body = {"token": token, "expect": expect or None, "accept_review": accept_review}
        return self._post("/otp/token/redeem", body, idempotency_key, claims_from)

    def check_token(
        self,
        token: str,
        *,
        app: str,
        purpose: str | None = None,
        binding: Binding | None = None,
        reference: str | None = None,
        leeway: float = 10.0,
    ) -> Claims:
        """Check a token of `app` with the service's public keys, and without a call if those are known.

        It is not spent: it can be shown again until it expires, so `redeem` whatever must work only once. `leeway`
        (seconds) is for clocks that differ. Needs the extra `offline`. Raises TokenInvalid or TokenMismatch.
        """
        expect = _given({"purpose": purpose, "binding": binding, "reference": reference})
        return self._tokens.check(token, app, expect, leeway)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _post(
        self,
        path: str,
        body: Mapping[str, Any],
        idempotency_key: str | None,
        read: Callable[[Mapping[str, Any]], _Answer],
    ) -> _Answer:
        key = idempotency_key or str(uuid.uuid4())
        return self._call(
            Call(method="POST", path=path, body=_given(body), idempotency_key=key),
            read,
        )

    def _call(self, call: Call, read: Callable[[Mapping[str, Any]], _Answer]) -> _Answer:
        members = self._transport.call(call)
        try:
            return read(members)
        except (KeyError, TypeError):
            raise UnexpectedAnswer(200, "The answer lacks fields that otp-service always gives") from None

    def _read_keys(self) -> Mapping[str, Any]:
        key_set = self._transport.call(Call(method="GET", path="/.well-known/jwks.json"))
        keys = key_set.get("keys")
        if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
            raise UnexpectedAnswer(200, "This is not a key set")
        return key_set


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the caller did not give."""
    return {name: value for name, value in fields.items() if value is not None}


def _path_of(challenge_id: str) -> str:
    """Return the path of a challenge. Raises ChallengeNotFound for what cannot be an id, such as `../ops`."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", challenge_id):
        detail = "There is no open challenge with this id."
        raise ChallengeNotFound({"code": ChallengeNotFound.CODE, "status": 404, "detail": detail})
    return f"/otp/{challenge_id}"
