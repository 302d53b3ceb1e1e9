"""The calls by which a person at a terminal tries a number on a running service.

Knows the API's addresses and one app's key. Must not know the terminal.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import requests

from otp_service.net.bounded import NotConnectedError, bounded_adapter

_WITHIN = 30.0
_LONGEST = 64 * 1024
_PAUSE = 1.0
_REPEATS = (0.5, 1.0)
"""Seconds before a call with an Idempotency-Key is repeated because its answer was lost."""
_UNDECIDED = frozenset({"busy", "store_unavailable", "internal_error"})
"""Codes of answers that do not say whether it was done."""


class NoAnswer(Exception):
    """The service gave no answer of its own; the text says what to look at, `may_be_done` whether it may have acted."""

    def __init__(self, text: str, *, may_be_done: bool) -> None:
        super().__init__(text)
        self.may_be_done = may_be_done


class Refused(Exception):
    """The service refused; `problem` is its answer."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(problem["code"])
        self.problem = problem
        self.may_be_done = problem["code"] in _UNDECIDED


@dataclass(frozen=True, slots=True)
class Service:
    """A running service as one app sees it. Its calls raise Refused and NoAnswer."""

    url: str
    key: str = field(repr=False)

    def send(self, fields: Mapping[str, str], key: str) -> dict[str, Any]:
        """Send a code and return the challenge; the same `key` sends no second one."""
        return self._ask_again("/otp/send", fields, key)

    def verify(self, challenge_id: str, code: str, key: str) -> dict[str, Any]:
        """Check a code and return the verified challenge with its token; the same `key` checks no second time."""
        return self._ask_again("/otp/verify", {"challenge_id": challenge_id, "code": code}, key)

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

    def _ask_again(self, path: str, body: object, key: str) -> dict[str, Any]:
        """Post, and repeat it if the answer was lost: with the same Idempotency-Key it is done once."""
        for pause in _REPEATS:
            try:
                return self._ask("POST", path, body, key)
            except NoAnswer as error:
                if not error.may_be_done:
                    raise
                time.sleep(pause)
        return self._ask("POST", path, body, key)

    def _ask(self, method: str, path: str, body: object = None, key: str = "") -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.key}"} | ({"Idempotency-Key": key} if key else {})
        adapter = bounded_adapter(pool_size=1, idle_timeout=0, unlogged_query="")
        with requests.Session() as session:
            session.trust_env = False  # a .netrc would replace the key
            for scheme in ("http://", "https://"):
                session.mount(scheme, adapter)
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
                    text = _beginning(answer)
            except (NotConnectedError, requests.RequestException, OSError) as error:
                told = f"{self.url} does not answer. Does the service run there?"
                raise NoAnswer(told, may_be_done=not isinstance(error, NotConnectedError)) from None
        return _read(text, status=answer.status_code, url=self.url)


def _beginning(answer: requests.Response) -> bytes:
    """Read an answer, which a proxy may have cut into pieces, to its end or to the limit."""
    text = b""
    for piece in answer.iter_content(_LONGEST):
        text += piece
        if len(text) >= _LONGEST:
            break
    return text


def _read(text: bytes, *, status: int, url: str) -> dict[str, Any]:
    ok = status < HTTPStatus.BAD_REQUEST
    try:
        said: dict[str, Any] = json.loads(text)
        _ = said["challenge_id" if ok else "code"]
    except (ValueError, KeyError, TypeError):
        strange = f"{url} answers {status}, but not as this service does. Is it the address of the API?"
        # A proxy answers so, too, if it waited too long for the service.
        raise NoAnswer(strange, may_be_done=status >= HTTPStatus.INTERNAL_SERVER_ERROR) from None
    if not ok:
        raise Refused(said)
    return said
