"""The calls by which a person at a terminal tries a number on a running service.

Knows the API's addresses and one app's key. Must not know the terminal.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

_WITHIN = 30.0
_LONGEST = 64 * 1024
_PAUSE = 1.0


class NoAnswer(Exception):
    """The service gave no answer of its own; the text says what to look at."""


class Refused(Exception):
    """The service refused; `problem` is its answer."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(problem["code"])
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Service:
    """A running service as one app sees it. Its calls raise Refused and NoAnswer."""

    url: str
    key: str = field(repr=False)

    def send(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """Send a code and return the challenge."""
        return self._ask("POST", "/otp/send", fields)

    def verify(self, challenge_id: str, code: str) -> dict[str, Any]:
        """Check a code and return the verified challenge with its token."""
        return self._ask("POST", "/otp/verify", {"challenge_id": challenge_id, "code": code})

    def follow(self, challenge_id: str) -> Iterator[dict[str, Any]]:
        """Yield the challenge once a second until it ends, less often if the service says so."""
        while True:
            pause = _PAUSE
            try:
                shown = self._ask("GET", f"/otp/{challenge_id}")
            except Refused as error:
                if "retry_after" not in error.problem:
                    raise
                pause = max(pause, float(error.problem["retry_after"]))
            else:
                yield shown
                if shown["status"] != "pending":
                    return
            time.sleep(pause)

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.key}"}
        with requests.Session() as session:
            session.trust_env = False  # a .netrc would replace the key
            try:
                with session.request(
                    method,
                    self.url + path,
                    json=body,
                    headers=headers,
                    timeout=_WITHIN,
                    allow_redirects=False,
                    stream=True,
                ) as answer:
                    text = answer.raw.read(_LONGEST, decode_content=True)
            except (requests.RequestException, OSError):
                raise NoAnswer(f"{self.url} does not answer. Does the service run there?") from None
        return _read(text, ok=answer.ok, url=self.url)


def _read(text: bytes, *, ok: bool, url: str) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads(text)
        _ = said["challenge_id" if ok else "code"]
    except (ValueError, KeyError, TypeError):
        strange = f"{url} answers, but not as this service does. Is it the address of the API?"
        raise NoAnswer(strange) from None
    if not ok:
        raise Refused(said)
    return said
