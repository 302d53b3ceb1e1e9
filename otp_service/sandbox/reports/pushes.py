"""Events on their way to the customer, pushed as the upstream pushes them.

Knows the Bearer secret, the signature, which answers count as accepted, the retries, and the shapes that a customer
may compose. Must not know what an event says.
"""

import hashlib
import hmac
import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import requests

from otp_service.sandbox.config import SandboxConfig
from otp_service.sandbox.reports.bodies import Body, Event
from otp_service.sandbox.reports.schedule import Schedule

log = logging.getLogger(__name__)
MOST_WAITING = 100_000
"""A receiver that is away for long must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an event goes, and in which shape; `signing_key` is the webhook's id."""

    url: str
    secret: str | None = field(repr=False)
    signing_key: str | None = field(default=None, repr=False)
    form: str = "json"
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manner:
    """How an event is pushed: which answers count, for how many seconds one is waited for, when to try again."""

    accepts: range | tuple[int, ...]
    timeout: float
    waits: tuple[float, ...]


class Pushes:
    """Tells whoever asked to be told; safe for many threads."""

    def __init__(self, config: SandboxConfig, targets: Callable[[Event], Iterable[Target]]) -> None:
        self._targets = targets
        self._reports = Manner((200, 202), 10.0, (config.report_retry_interval,) * config.report_retries)
        self._messengers = Manner(range(200, 300), 3.0, config.event_retries)
        self._schedule = Schedule("sandbox-push", threads=8)
        self._local = threading.local()

    def tell(self, event: Event) -> int:
        """Push `event` to all who asked for it; returns how many they are."""
        manner = self._messengers if event.is_messengers else self._reports
        targets = list(self._targets(event))
        for target in targets:
            request = _request(event, target).prepare()
            self._try_later(request, manner, delay=0, waits=manner.waits)
        return len(targets)

    def close(self) -> None:
        """End the threads; what is not out is dropped."""
        self._schedule.close()

    def _try_later(
        self, request: requests.PreparedRequest, manner: Manner, *, delay: float, waits: tuple[float, ...]
    ) -> None:
        if len(self._schedule) >= MOST_WAITING:
            log.warning("a report was dropped: too many are waiting")
            return
        self._schedule.after(delay, lambda: self._push(request, manner, waits))

    def _push(self, request: requests.PreparedRequest, manner: Manner, waits: tuple[float, ...]) -> None:
        if self._accepted(request, manner):
            return
        if waits:
            self._try_later(request, manner, delay=waits[0], waits=waits[1:])
        else:
            log.warning("a report was dropped: no try was accepted")

    def _accepted(self, request: requests.PreparedRequest, manner: Manner) -> bool:
        try:
            answer = self._session().send(request, timeout=manner.timeout, allow_redirects=False)
        except requests.RequestException:
            return False
        return answer.status_code in manner.accepts

    def _session(self) -> requests.Session:
        # One per thread: a session is not made for sharing.
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            # No proxy or .netrc of this machine may see or alter a report.
            self._local.session.trust_env = False
        session: requests.Session = self._local.session
        return session


def _request(event: Event, target: Target) -> requests.Request:
    headers = {"Authorization": f"Bearer {target.secret}"} if target.secret else {}
    body = _composed(event.body, target.fields) if target.fields else event.body
    if target.form == "get":
        return requests.Request("GET", target.url, params=_texts(body), headers=headers)
    if target.form == "form":
        return requests.Request("POST", target.url, data=_texts(body), headers=headers)
    raw = _php_json(body)
    headers["Content-Type"] = "application/json"
    if event.is_messengers and target.signing_key:
        headers["Signature"] = hmac.new(target.signing_key.encode(), raw, hashlib.sha256).hexdigest()
    return requests.Request("POST", target.url, data=raw, headers=headers)


def _php_json(body: Body) -> bytes:
    # PHP escapes slashes and all that is not ASCII; who checks a signature must hash what came, not its own spelling.
    return json.dumps(body, separators=(",", ":")).replace("/", "\\/").encode()


def _composed(body: Body, fields: Mapping[str, str]) -> Body:
    flat = _flat(body)
    return {name: flat.get(documented, "") for name, documented in fields.items()}


def _texts(body: Body) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in _flat(body).items()}


def _flat(body: Body) -> Body:
    """Return the fields of `body` with those of its payload beside them."""
    payload = body.get("payload")
    outer = {name: value for name, value in body.items() if name != "payload"}
    return {**outer, **payload} if isinstance(payload, dict) else outer
