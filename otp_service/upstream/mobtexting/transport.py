"""One call to the upstream: sends a request, and returns the answer or the reason why there is none.

Knows HTTP and where the token travels. Must not know what a path is for or what an answer means. The exceptions of
requests and urllib3 end here, as their texts contain URLs; a stable word takes their place.
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlencode

import requests
import urllib3.exceptions
from urllib3.util import Timeout

from otp_service.net.bounded import NotConnectedError, bounded_adapter
from otp_service.upstream.mobtexting.account import AccountSettings

_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
MAX_BODY: Final = 64 * 1024  # bytes; the documented answer for one recipient is smaller than 1 KiB

_FAULTS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    # The first that matches an exception or one of its causes.
    (urllib3.exceptions.ClosedPoolError, "connect_failed"),  # closed before a connection was taken
    (TimeoutError, "timeout"),
    (urllib3.exceptions.ReadTimeoutError, "timeout"),
    (http.client.IncompleteRead, "truncated"),
    (ConnectionError, "connection_lost"),  # the built-in one: reset, aborted, closed without an answer
    (http.client.HTTPException, "unreadable"),
    (OSError, "connection_lost"),
)


class NoAnswerError(Exception):
    """There was no answer. `reason` is a stable word for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FormRequest:
    """A request as a form, which every version of the API reads. For requests without nested fields."""

    path: str
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class JsonRequest:
    """A request as a JSON object."""

    path: str
    content: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. `fault` is a stable word for what is wrong with the body, empty if it is complete."""

    status: int
    body: bytes = field(default=b"", repr=False)
    fault: str = ""
    retry_after: str | None = None


class Transport:
    """Calls one account over pooled connections. Safe to use from many threads.

    Uses the pooling adapter of requests without a Session: what a Session adds (cookies, redirects, proxies and netrc
    from the environment) is unsafe between threads or must not happen here.
    """

    def __init__(self, account: AccountSettings) -> None:
        self._account = account
        token = {"access_token": account.token}
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "otp-service",
        }
        if account.auth == "header":
            self._headers["Authorization"] = f"Bearer {account.token}"
        self._token_field = token if account.auth == "body" else {}
        self._adapter = bounded_adapter(
            pool_size=account.pool_size,
            idle_timeout=account.idle_timeout,
            unlogged_query=urlencode(token) if account.auth == "query" else "",
        )
        self._posts: dict[str, requests.PreparedRequest] = {}
        self._timeout = Timeout(connect=account.connect_timeout, total=account.total_timeout)

    def post(self, asked: FormRequest | JsonRequest) -> Answer:
        """Post to a path below the base URL. Raises NoAnswerError if there is no answer."""
        if isinstance(asked, FormRequest):
            body, kind = urlencode({**asked.fields, **self._token_field}), _FORM
        else:
            body, kind = json.dumps({**asked.content, **self._token_field}), _JSON
        return self._call(self._prepared(asked.path, body.encode(), kind))

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """Get a path below the base URL. Raises NoAnswerError if there is no answer. The query may be logged.

        A token that must travel in the body is sent as JSON: the upstream's framework reads no form from a GET.
        """
        url = self._account.base_url + path
        asked = requests.Request("GET", url, self._headers, params=query, json=self._token_field or None)
        return self._call(asked.prepare())

    def close(self) -> None:
        """Close all idle connections."""
        self._adapter.close()

    def _prepared(self, path: str, body: bytes, kind: str) -> requests.PreparedRequest:
        """Prepare a POST. All but the body is prepared once for each path: it took a sixth of a call's time."""
        if path not in self._posts:
            self._posts[path] = requests.Request(
                "POST", self._account.base_url + path, self._headers
            ).prepare()
        request = self._posts[path].copy()
        request.headers["Content-Type"] = kind
        request.headers["Content-Length"] = str(len(body))
        request.body = body
        return request

    def _call(self, request: requests.PreparedRequest) -> Answer:
        try:
            response = self._adapter.send(
                request,
                stream=True,
                timeout=cast("Any", self._timeout),  # documented, but missing from the type stubs
                verify=self._account.ca_bundle or True,
            )
        except NotConnectedError as fault:
            raise NoAnswerError(fault.reason) from None
        except Exception as fault:  # noqa: BLE001 - any failure of a parser must become a word
            raise NoAnswerError(_word(fault)) from None
        try:
            return _read(response)
        finally:
            response.close()


def _read(response: requests.Response) -> Answer:
    retry_after = response.headers.get("Retry-After")
    try:
        body = cast("bytes", response.raw.read(MAX_BODY + 1, decode_content=True))
    except Exception as fault:  # noqa: BLE001 - as above
        return Answer(response.status_code, fault=_word(fault), retry_after=retry_after)
    excess = "too_large" if len(body) > MAX_BODY else ""
    return Answer(response.status_code, body=body, fault=excess, retry_after=retry_after)


def _word(fault: BaseException) -> str:
    origins = list(_origins(fault))
    return next((word for kind, word in _FAULTS if any(isinstance(o, kind) for o in origins)), "unreadable")


def _origins(fault: BaseException | None) -> Iterator[BaseException]:
    while fault is not None:
        yield fault
        fault = fault.__cause__ or fault.__context__
