"""Logs and metrics: one JSON event a line, and every metric's name in one place.

Knows how secrets and numbers look, so that none gets out. Must not know what happens in the product.
"""

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

LOG = logging.getLogger("otp")

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# What must never be read in a log, whoever wrote it there: keys and tokens, and digits as many as a code has.
_SECRETS = re.compile(
    r"\b(?:(?:pk|sk|ops|whs)_[A-Za-z0-9_-]{8,}|whsec_[A-Za-z0-9+/=]{8,})|(?i:bearer)\s+\S+|eyJ[A-Za-z0-9_-]+\.\S+|access_token=[^&\s]+"
)
_DIGITS = re.compile(r"\+?\d(?:[\s().-]{0,3}\d){5,}")


def redact(text: str) -> str:
    """Blacken keys, tokens and every run of six or more digits."""
    return _DIGITS.sub("[digits]", _SECRETS.sub("[secret]", text))


class _Events(logging.Formatter):
    """Writes a record as one line of JSON."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "process": self._process,
            "pid": record.process,
            "event": redact(record.getMessage()),
        }
        for name, value in getattr(record, "fields", {}).items():
            event[name] = value if name in _IDS else _clean(value)
        if record.exc_info and record.exc_info[1]:
            event["error"] = type(record.exc_info[1]).__name__
            event["where"] = _where(record.exc_info[1])
        return json.dumps(event, ensure_ascii=True, default=str)


def _clean(value: object) -> object:
    """Give a field's value as it may be logged; whatever is no plain figure is text, and redacted."""
    return value if value is None or isinstance(value, int | float) else redact(str(value))


_IDS = frozenset({"request_id", "challenge", "key_id", "successor"})
"""Drawn by us at random; digits in them mean nothing."""


def _where(error: BaseException) -> list[str]:
    """Give the call stack without the error's text, which may hold what was sent to us."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]


def start_logging(process: str, level: str, stream: TextIO | None = None) -> None:
    """Send every log record of this process to `stream` (standard output), libraries from warnings up."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(_Events(process))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    LOG.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda _kind, error, _trace: LOG.critical("process.failed", exc_info=error)
    threading.excepthook = lambda failed: LOG.critical("thread.failed", exc_info=failed.exc_value)


@contextmanager
def acts_logged(stream: TextIO) -> Iterator[None]:
    """Send what is done meanwhile in somebody's name, and errors, to `stream`: for a command in a terminal."""
    handler, before = logging.StreamHandler(stream), LOG.level
    handler.setFormatter(_Events("operator"))
    handler.addFilter(lambda record: record.levelno >= logging.ERROR or _is_act(record))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(before)


def _is_act(record: logging.LogRecord) -> bool:
    return not {"by", "author"}.isdisjoint(getattr(record, "fields", {}))


def warn(text: str) -> None:
    """Log a warning that operators should act on."""
    LOG.warning(text)


def event(name: str, level: int = logging.INFO, **fields: object) -> None:
    """Log that something happened. Fields are ours to choose: never a code, key or whole number."""
    LOG.log(level, name, extra={"fields": fields})


class Metrics:
    """All metrics of the product; summed over processes when PROMETHEUS_MULTIPROC_DIR is set."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "otp_http_requests", "HTTP requests answered", ["route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "otp_http_request_seconds", "Time to answer", ["route"], buckets=_SLOW, registry=registry
        )
        self.challenges = Counter(
            "otp_challenges", "Challenges by how they ended, or opened", ["app", "result"], registry=registry
        )
        self.deliveries = Counter(
            "otp_deliveries",
            "Sends by how they ended",
            ["channel", "upstream", "verdict", "reason"],
            registry=registry,
        )
        self.upstream_seconds = Histogram(
            "otp_upstream_seconds", "Time an upstream took", ["upstream"], buckets=_SLOW, registry=registry
        )
        self.checks = Counter("otp_checks", "Guesses by result", ["app", "result"], registry=registry)
        self.verified = Counter(
            "otp_verified_codes",
            "Codes that came back, by the channel and upstream that brought them",
            ["channel", "upstream"],
            registry=registry,
        )
        self.verify_seconds = Histogram(
            "otp_verify_seconds",
            "Time from a code's leaving to its coming back",
            ["channel"],
            buckets=(2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 300, 600),
            registry=registry,
        )
        self.skips = Counter(
            "otp_skipped_steps", "Steps that were not taken, by why", ["channel", "why"], registry=registry
        )
        self.receipts = Counter(
            "otp_receipts",
            "Receipts by what they say and what they changed",
            ["channel", "upstream", "stage", "result"],
            registry=registry,
        )
        self.inbound = Counter(
            "otp_inbound", "Messages from persons by what they ask", ["channel", "word"], registry=registry
        )
        self.breaker_openings = Counter(
            "otp_breaker_openings",
            "Breakers that opened",
            ["upstream", "channel", "reason"],
            registry=registry,
        )
        self.charges = Counter(
            "otp_upstream_charges",
            "What upstreams charged, in their own unit",
            ["channel", "upstream"],
            registry=registry,
        )
        self.balance = Gauge(
            "otp_upstream_balance",
            "What is left at an upstream, in its own unit",
            ["upstream", "service"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.events = Counter("otp_events", "Events for apps by result", ["app", "result"], registry=registry)
        self.refusals = Counter(
            "otp_guard_refusals", "Sends that the guard refused", ["rule"], registry=registry
        )
        self.guard = Counter(
            "otp_guard_findings",
            "Limits of the guard that were passed, also by sends that were let in",
            ["rule", "level", "mode"],
            registry=registry,
        )
        self.hash_seconds = Histogram(
            "otp_hash_seconds", "Time of one Argon2 run", buckets=_FAST, registry=registry
        )
        self.hash_waiting = Gauge(
            "otp_hash_waiting",
            "Callers that wait for a place to hash",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.deadline_lag = Histogram(
            "otp_deadline_lag_seconds",
            "How late what was due was claimed",
            ["queue"],
            buckets=_SLOW,
            registry=registry,
        )
        self.store_seconds = Histogram(
            "otp_store_call_seconds",
            "Time of one call of the store",
            ["script"],
            buckets=_FAST,
            registry=registry,
        )
        self.in_flight = Gauge(
            "otp_in_flight",
            "What workers are busy with",
            ["queue"],
            registry=registry,
            multiprocess_mode="livesum",
        )

    def observe_store(self, script: str, seconds: float) -> None:
        """Count one call of the store."""
        self.store_seconds.labels(script).observe(seconds)

    def page(self, *, shared: bool) -> bytes:
        """Write the metrics of this process, or `shared` ones of all, in Prometheus' text format."""
        registry = self.registry
        if shared:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
