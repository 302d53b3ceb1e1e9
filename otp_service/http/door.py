"""Refuses new sends before they reach a view, while more are requested than can be sent.

A view would refuse them, too, but at five times the cost. Knows which requests are new sends. Must not know sockets.
"""

from collections.abc import Mapping
from typing import Self

from otp_service.bootstrap.core import Core
from otp_service.delivery.send_wait import SendWait
from otp_service.errors import Busy, StoreUnavailable
from otp_service.http.middleware import readable_by
from otp_service.http.problems import STATUS
from otp_service.http.server.answer import Refusal
from otp_service.policy.active import PolicyFollower
from otp_service.telemetry.metrics import Metrics

_SEND = "/otp/send"


class Door:
    """The door of one process."""

    def __init__(
        self, wait: SendWait, metrics: Metrics, *, active: PolicyFollower, ops_port: int | None
    ) -> None:
        self._wait = wait
        self._metrics = metrics
        self._active = active
        self._ops_port = str(ops_port)

    @classmethod
    def of(cls, core: Core) -> Self:
        """Make the door of an application's core."""
        return cls(core.send_wait, core.metrics, active=core.active, ops_port=core.settings.ops_port)

    def __call__(self, environ: Mapping[str, str]) -> Refusal | None:
        """Return why a request is refused. A send with an Idempotency-Key may repeat one that was accepted."""
        if (
            environ["PATH_INFO"] != _SEND
            or environ["REQUEST_METHOD"] != "POST"
            or "HTTP_IDEMPOTENCY_KEY" in environ
            or environ["SERVER_PORT"] == self._ops_port
        ):
            return None
        try:
            self._wait.require("send")
        except Busy as error:
            self._metrics.requests.labels(_SEND, STATUS[Busy]).inc()
            return Refusal(error, tuple(self._headers(environ.get("HTTP_ORIGIN", "")).items()))
        return None

    def _headers(self, origin: str) -> dict[str, str]:
        """Let pages of all apps read the answer, as at the preflight: whose key it is has not been read."""
        try:
            apps = self._active().policy.apps.values()
        except StoreUnavailable:
            return {}
        return readable_by(origin) if any(origin in app.origins for app in apps) else {}
