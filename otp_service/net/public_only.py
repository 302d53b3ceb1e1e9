"""One POST to an app's endpoint, which must not be inside our own network.

Knows addresses, names and HTTP. Must not know what an event contains or when it is sent again.

An app chooses the URL, so an attacker may have chosen it (OWASP API7:2023, ASVS 15.3.2). The name is resolved once,
every address is checked, and the connection goes to a checked address, so a second lookup cannot lead elsewhere. SNI,
Host and the certificate still use the name.
"""

import ipaddress
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

import requests
from urllib3.util import Timeout

from otp_service.net.bounded import NotConnectedError, bounded_adapter
from otp_service.net.endpoint import Address, EndpointUrl

CONNECT_LIMIT, TOTAL_LIMIT = 5.0, 15.0
"""Seconds for lookup, connection and TLS, and for everything. Standard Webhooks recommends 15 to 30."""
Resolve = Callable[[str, int], Sequence[str]]
_HEADERS = {
    "Accept-Encoding": "identity",
    "Connection": "close",
    "Content-Type": "application/json",
    "User-Agent": "otp-service",
}


def lookup(host: str, port: int) -> list[str]:
    """Return all addresses of a host, the preferred one first. Raises OSError or UnicodeError."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True, slots=True)
class PostResult:
    """The result of one try.

    `status` is None if there was no answer. `retry_after` is in seconds, if the receiver sent it. `reason` is a stable
    word of ours for logs and metrics: `answered`, `timeout`, `forbidden_address`... `body` is the beginning of the
    answer's, if the client reads it.
    """

    status: int | None
    retry_after: float | None
    reason: str
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicClient:
    """Posts to endpoints; many threads may use it.

    `allow_private` allows private networks, and plain HTTP to this machine: for apps beside the service, the demo and
    tests. Metadata, link-local and embedded addresses stay forbidden. `ca_bundle` is a file of certificates to trust
    instead of the usual ones. Limits are in seconds.
    """

    allow_private: bool = False
    ca_bundle: str | None = None
    connect_limit: float = CONNECT_LIMIT
    total_limit: float = TOTAL_LIMIT
    resolve: Resolve = lookup
    most: int = 0
    """Bytes of an answer that are wanted; one more is read, to tell that there are more. 0: the body is not read."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> PostResult:
        """Post JSON once and return the answer, or the reason why there is none. Network errors are not raised.

        Redirects are not followed. Proxies and netrc of the environment are ignored. A lookup cannot be interrupted,
        but nothing is sent after one that took too long.
        """
        started = time.monotonic()
        try:
            endpoint = EndpointUrl.parse(url, allow_private=self.allow_private)
        except ValueError:
            return _failed("bad_url")
        try:
            found = self.resolve(endpoint.host, endpoint.port)
            addresses = [ipaddress.ip_address(address) for address in found]
        except (OSError, ValueError):  # UnicodeError, for an impossible name, is a ValueError
            return _failed("dns_failed")
        if not addresses:
            return _failed("dns_failed")
        # One bad address among good ones is a trap or a mistake; we cannot tell which.
        if not all(endpoint.may_reach(address) for address in addresses):
            return _failed("forbidden_address")
        sent = {**_HEADERS, "Host": endpoint.authority, **headers}
        request = requests.Request("POST", headers=sent, data=body)
        return self._post_to(addresses, endpoint, request, started)

    def _post_to(
        self, addresses: Sequence[Address], endpoint: EndpointUrl, request: requests.Request, started: float
    ) -> PostResult:
        """Post to the first address that accepts a connection; all addresses share the connect limit."""
        answer = _failed("connect_timeout")
        for place, address in enumerate(addresses):
            spent = time.monotonic() - started
            share = (self.connect_limit - spent) / (len(addresses) - place)
            if share <= 0:
                break
            request.url = endpoint.at(address)
            try:
                return self._exchange(
                    endpoint, request, Timeout(total=self.total_limit - spent, connect=share)
                )
            except NotConnectedError as fault:
                answer = _failed(fault.reason)
        return answer

    def _exchange(self, endpoint: EndpointUrl, request: requests.Request, timeout: Timeout) -> PostResult:
        """Send one request and read the answer. Raises NotConnectedError if nothing was sent."""
        adapter = bounded_adapter(pool_size=1, idle_timeout=0, unlogged_query=endpoint.query)
        adapter.poolmanager.connection_pool_kw["server_hostname"] = endpoint.host
        try:
            with adapter.send(
                request.prepare(),
                stream=True,
                timeout=cast("Any", timeout),  # a documented kind of timeout that the stubs leave out
                verify=self.ca_bundle or True,
            ) as response:
                retry_after = _seconds(response.headers.get("Retry-After"), datetime.now(UTC))
                body = response.raw.read(self.most + 1) if self.most else b""
                return PostResult(response.status_code, retry_after, "answered", body)
        except NotConnectedError:
            raise
        except requests.Timeout:
            return _failed("timeout")
        except Exception:  # noqa: BLE001 - whatever an answer breaks in a parser must end in a word
            return _failed("no_answer")


def _failed(reason: str) -> PostResult:
    return PostResult(None, None, reason)


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3); None if there is none."""
    if retry_after is None:
        return None
    if re.fullmatch("[0-9]{1,9}", retry_after):
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
        wait = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return max(wait, 0.0)
