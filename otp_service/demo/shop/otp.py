"""The three calls that a shop's server makes. Knows the API's addresses; must not know pages."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests

TRIES = 4


class OtpProblem(Exception):
    """The service refused; `code` says why, for the shop to branch on."""

    def __init__(self, code: str, answer: Mapping[str, Any]) -> None:
        super().__init__(code)
        self.code = code
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Otp:
    """The service as one app with a secret key sees it."""

    url: str
    secret_key: str

    def send(self, to: str, purpose: str, **fields: object) -> str:
        """Send a code and return the challenge's id."""
        challenge_id: str = self._post("/otp/send", {"to": to, "purpose": purpose, **fields})["challenge_id"]
        return challenge_id

    def verify(self, challenge_id: str, code: str) -> str:
        """Check a code and return the token."""
        token: str = self._post("/otp/verify", {"challenge_id": challenge_id, "code": code})["token"]
        return token

    def redeem(self, token: str, **expect: object) -> dict[str, Any]:
        """Spend a token that must be for what is expected, and return what it proves."""
        return self._post("/otp/token/redeem", {"token": token, "expect": expect})

    def _post(self, path: str, body: object) -> dict[str, Any]:
        """Post, and repeat with the same key while no answer comes: nothing is done twice. Raises OtpProblem."""
        headers = {"Authorization": f"Bearer {self.secret_key}", "Idempotency-Key": str(uuid.uuid4())}
        for tried in range(TRIES):
            try:
                answer = requests.post(self.url + path, json=body, headers=headers, timeout=5)
            except requests.RequestException:
                time.sleep(0.2 * 2**tried)
                continue
            if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                break
            time.sleep(float(answer.headers.get("Retry-After", "1")))
        else:
            raise OtpProblem("no_answer", {})
        said: dict[str, Any] = answer.json()
        if not answer.ok:
            raise OtpProblem(said["code"], said)
        return said
