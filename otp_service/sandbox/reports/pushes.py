"""Sends events to customers' webhooks as the upstream does.

Knows the Bearer secret, the signature, which answers count as accepted, the retries, and the forms that a customer may
compose. Must not know the content of an event.
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
from otp_service.sandbox.reports.reach import FarError, open_session
from otp_service.sandbox.reports.schedule import Schedule

log = logging.getLogger(__name__)
MOST_WAITING = 100_000
"""A receiver that is unavailable for long must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an event goes, and in which form; `signing_key` is the webhook's id."""

    url: str
    secret: str | None = field(repr=False)
    signing_key: str | None = field(default=None, repr=False)
    form: str = "json"
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PushRules:
    """How an event is pushed: the accepted statuses, the timeout in seconds, the waits before retries."""

    accepts: range | tuple[int, ...]
    timeout: float
    waits: tuple[float, ...]


class Pushes:
    """Pushes events to all registered receivers; many threads may use it."""

    def __init__(self, config: SandboxConfig, targets: Callable[[Event], Iterable[Target]]) -> None:
        self._targets = targets
        self._reports = PushRules((200, 202), 10.0, (config.report_retry_interval,) * config.report_retries)
        self._messengers = PushRules(range(200, 300), 3.0, config.event_retries)
        self._reaches_out = config.reach_out
        self._schedule = Schedule("sandbox-push", threads=8)
        self._local = threading.local()

    def push(self, event: Event) -> int:
        """Push `event` to all its receivers; return how many there are."""
        rules = self._messengers if event.is_messengers else self._reports
        targets = list(self._targets(event))
        for target in targets:
            request = _request(event, target).prepare()
            self._try_later(request, rules, delay=0, waits=rules.waits)
        return len(targets)

    def close(self) -> None:
        """End the threads; events that are still waiting are dropped."""
        self._schedule.close()

    def _try_later(
        self, request: requests.PreparedRequest, rules: PushRules, *, delay: float, waits: tuple[float, ...]
    ) -> None:
        if len(self._schedule) >= MOST_WAITING:
            log.warning("a report was dropped: too many are waiting")
            return
        self._schedule.after(delay, lambda: self._push(request, rules, waits))

    def _push(self, request: requests.PreparedRequest, rules: PushRules, waits: tuple[float, ...]) -> None:
        try:
            if self._accepted(request, rules):
                return
        except FarError:
            log.warning("a report was dropped: its receiver is outside, and --reach-out is not given")
            return
        if waits:
            self._try_later(request, rules, delay=waits[0], waits=waits[1:])
        else:
            log.warning("a report was dropped: no try was accepted")

    def _accepted(self, request: requests.PreparedRequest, rules: PushRules) -> bool:
        try:
            answer = self._session().send(request, timeout=rules.timeout, allow_redirects=False)
        except requests.RequestException:
            return False
        return answer.status_code in rules.accepts

    def _session(self) -> requests.Session:
        # One per thread: sessions are not thread-safe.
        if not hasattr(self._local, "session"):
            self._local.session = open_session(reach_out=self._reaches_out)
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
    # PHP escapes slashes and non-ASCII characters. A receiver must verify the signature over the bytes that it got.
    return json.dumps(body, separators=(",", ":")).replace("/", "\\/").encode()


def _composed(body: Body, fields: Mapping[str, str]) -> Body:
    flat = _flat(body)
    return {name: flat.get(documented, "") for name, documented in fields.items()}


def _texts(body: Body) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in _flat(body).items()}


def _flat(body: Body) -> Body:
    """Return the fields of `body` together with those of its payload."""
    payload = body.get("payload")
    outer = {name: value for name, value in body.items() if name != "payload"}
    return {**outer, **payload} if isinstance(payload, dict) else outer
