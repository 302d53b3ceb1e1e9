"""Verifies a CAPTCHA token with its vendor, by the call that Turnstile, hCaptcha and reCAPTCHA v2 share.

Knows siteverify: a form with `secret`, `response` and `remoteip`; an answer with `success` and `error-codes`. Must not
know what follows from a refusal. A vendor's token is not bound to a number. reCAPTCHA v3 does not work with this call:
it answers success for everyone, with a score.
"""

import json
from http import HTTPStatus
from typing import Any, cast

import requests
from urllib3.util import Timeout

from otp_service.errors import HumanCheckUnavailable
from otp_service.net.bounded import bounded_adapter

CONNECT_LIMIT, TOTAL_LIMIT = 2.0, 4.0
"""Seconds for connecting with TLS, and for the whole call. Both are short, because a person waits."""
MAX_ANSWER = 16 * 1024
RETRY_AFTER = 5
_IDLE, _POOL = 5.0, 16
_OURS = frozenset({"missing-input-secret", "invalid-input-secret", "bad-request", "internal-error"})
"""Error codes that say nothing about the person: a mistake of ours or of the vendor."""
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "otp-service"}


class SiteVerify:
    """A vendor's siteverify call, safe for many threads. Limits are in seconds."""

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        connect_limit: float = CONNECT_LIMIT,
        total_limit: float = TOTAL_LIMIT,
    ) -> None:
        self._url, self._secret = url, secret
        self._timeout = Timeout(connect=connect_limit, total=total_limit)
        self._adapter = bounded_adapter(pool_size=_POOL, idle_timeout=_IDLE, unlogged_query="")

    def passed(self, token: str, address: str | None) -> bool:
        """Tell whether the vendor accepts the token, from this address if it is known. It accepts each token once.

        Raises HumanCheckUnavailable if there is no readable answer, or if the answer names a mistake of ours. Nothing
        is sent twice, proxies and netrc of the environment are not used, and redirects are not followed.
        """
        answer = self._answer({"secret": self._secret, "response": token} | _remote(address))
        if answer.get("success") is True:
            return True
        codes = answer.get("error-codes")
        if answer.get("success") is not False or (
            isinstance(codes, list) and _OURS.intersection(map(str, codes))
        ):
            raise _unavailable()
        return False

    def close(self) -> None:
        """Close the idle connections."""
        self._adapter.close()

    def _answer(self, form: dict[str, str]) -> dict[str, Any]:
        timeout = cast("Any", self._timeout)  # a documented type of timeout that the stubs omit
        try:
            request = requests.Request("POST", self._url, headers=_HEADERS, data=form).prepare()
            with self._adapter.send(request, stream=True, timeout=timeout) as response:
                body = response.raw.read(MAX_ANSWER + 1)
                found = (
                    json.loads(body)
                    if response.status_code == HTTPStatus.OK and len(body) <= MAX_ANSWER
                    else None
                )
        except Exception:  # noqa: BLE001 - no error of a network or a parser is the person's fault
            raise _unavailable() from None
        if not isinstance(found, dict):
            raise _unavailable()
        return found


def _remote(address: str | None) -> dict[str, str]:
    return {"remoteip": address} if address else {}


def _unavailable() -> HumanCheckUnavailable:
    return HumanCheckUnavailable(retry_after=RETRY_AFTER)
