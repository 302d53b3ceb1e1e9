"""One call over HTTP: sent, repeated while that is safe, and ended by a deadline.

Knows requests, answers and when a call may be repeated. Must not know what a single call means.
"""

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from otp_client.deadline import DeadlineAdapter
from otp_client.problems import NoAnswer, OtpError, Problem, UnexpectedAnswer, problem_from

MOST_BYTES = 1 << 20
"""Bytes of the longest answer that is read."""
MOST_SECONDS = 3600
"""The longest time of a call: far below what a socket takes as a timeout."""
TRIES_IN_TIME = 3
"""A try gets this part of the time, so that a server that hangs leaves time for others."""
_REPEATABLE = frozenset(
    {"busy", "store_unavailable", "no_worker", "human_check_unavailable", "request_timeout"}
)
_GATEWAYS = frozenset({408, 502, 503, 504})
"""Statuses of a proxy that got no answer from the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is asked. A call with an idempotency key, or one that only reads or cancels, may be repeated."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    idempotency_key: str | None = None


class _Bearer(requests.auth.AuthBase):
    """The API key. As `auth`, so that no ~/.netrc takes its place."""

    def __init__(self, key: str) -> None:
        self._header = f"Bearer {key}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


class _Session(requests.Session):
    """Calls without redirects: `requests` reads their target and their whole body, although it must not follow them."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Say that there is none."""


class _Lost(Exception):
    """The answer to one try did not come, or did not come whole."""


class Transport:
    """Calls the service at one address with one key; many threads may use it."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`timeout` is the time of a call with all its repetitions, in seconds. Raises ValueError."""
        if not _is_address(base_url):
            raise ValueError("base_url must be the service's address, such as https://otp.example.com")
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("key must be an API key of the service, such as sk_...")
        if not 0 < timeout <= MOST_SECONDS:
            raise ValueError(f"timeout must be more than 0 and at most {MOST_SECONDS} seconds")
        self.base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep
        self._auth = _Bearer(key)
        self._session = _Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, DeadlineAdapter(pool_maxsize=32))

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def call(self, call: Call) -> dict[str, Any]:
        """Make a call and return the members of its answer. Raises OtpError; ValueError for what HTTP cannot carry."""
        end = self._clock() + self._timeout
        for backoff in _backoffs():
            try:
                return self._try_once(call, end)
            except (_Lost, Problem, UnexpectedAnswer) as fault:
                error = _error_of(fault)
                error.idempotency_key = call.idempotency_key
                if not isinstance(fault, _Lost) and not _is_repeatable(error):
                    raise error from None
            pause = max(backoff, getattr(error, "retry_after", None) or 0)
            if self._clock() + pause >= end:
                raise error from None
            self._sleep(pause)
        raise AssertionError("the waits have no end")

    def _try_once(self, call: Call, end: float) -> dict[str, Any]:
        """Send a request and read its answer. Raises _Lost, Problem or UnexpectedAnswer."""
        left = max(min(end - self._clock(), self._timeout / TRIES_IN_TIME), 0.001)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if call.idempotency_key is not None:
            headers["Idempotency-Key"] = call.idempotency_key
        try:
            with self._session.request(
                call.method,
                self.base_url + call.path,
                json=call.body,
                headers=headers,
                auth=self._auth,
                timeout=urllib3.Timeout(total=left),  # type: ignore[arg-type]  # requests takes it, its types do not
                allow_redirects=False,
                stream=True,
            ) as response:
                status, body = response.status_code, _read_whole(response.raw)
                has_end = _tells_its_end(response.headers)
        except (requests.exceptions.InvalidJSONError, ValueError) as fault:  # nothing has left
            raise ValueError(f"this request cannot be sent ({type(fault).__name__})") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as fault:
            raise _Lost(type(fault).__name__) from None
        document = _document(body)
        if document is None and not has_end:
            raise _Lost("the connection ended")  # in the head, or in a body that ends with the connection
        return _members(status, document)


def _is_address(text: str) -> bool:
    """Return whether calls can be made to this address."""
    try:
        requests.Request("GET", text).prepare()
        address = urlsplit(text)
    except ValueError:
        return False
    is_http = address.scheme in {"http", "https"} and bool(address.hostname)
    return is_http and not address.query and not address.fragment


def _read_whole(raw: urllib3.BaseHTTPResponse) -> bytes:
    """Read a body up to a byte more than is allowed. One call of `read` would not notice an early end."""
    body = b""
    while len(body) <= MOST_BYTES and (part := raw.read(MOST_BYTES + 1 - len(body))):
        body += part
    return body


def _tells_its_end(headers: Mapping[str, str]) -> bool:
    """Return whether a body that ends early is noticed: it has a length, or its last chunk is marked."""
    return headers.get("Content-Length", "").isdigit() or headers.get("Transfer-Encoding", "") == "chunked"


def _document(body: bytes) -> dict[str, Any] | None:
    """Read a JSON object; None if it is something else, or too long."""
    try:
        document = json.loads(body) if len(body) <= MOST_BYTES else None
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _members(status: int, document: dict[str, Any] | None) -> dict[str, Any]:
    """Return what a call gave. Raises Problem, or UnexpectedAnswer if the service does not write such an answer."""
    if document is not None and 200 <= status < 300:  # noqa: PLR2004 - what "successful" means
        return document
    if document is not None and "code" in document:
        with contextlib.suppress(KeyError, TypeError, ValueError):  # no problem of this service
            raise problem_from({**document, "status": status})
    raise UnexpectedAnswer(
        status, "This is not an answer of otp-service. Check base_url and what is in between"
    )


def _error_of(fault: Exception) -> OtpError:
    """Return what the caller is told if this was the last try."""
    if isinstance(fault, OtpError):
        return fault
    return NoAnswer(f"No answer came in time ({fault}). Repeat the call with its idempotency_key")


def _is_repeatable(error: OtpError) -> bool:
    if isinstance(error, Problem):
        return error.code in _REPEATABLE
    return isinstance(error, UnexpectedAnswer) and error.status in _GATEWAYS


def _backoffs() -> Iterator[float]:
    """Yield the pauses between tries, in seconds: longer each time, and by chance, so that callers do not march."""
    most = 0.1
    while True:
        yield random.uniform(most / 2, most)  # noqa: S311 - nothing secret
        most = min(most * 2, 2.0)
