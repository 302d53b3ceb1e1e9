"""The log: one JSON object per line.

Knows what secrets and numbers look like, so that none gets out. Must not know what happens in the product.
"""

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

LOG = logging.getLogger("otp")
Record = Callable[..., None]
"""Writes an act of an operator down: its name and its fields. `log` is one."""

# What must never appear in a log, whatever its source: keys, tokens, and as many digits as a code has.
_SECRETS = re.compile(
    r"\b(?:(?:pk|sk|ops|whs)_[A-Za-z0-9_-]{8,}|whsec_[A-Za-z0-9+/=]{8,})|(?i:bearer)\s+\S+|eyJ[A-Za-z0-9_-]+\.\S+|access_token=[^&\s]+"
)
_DIGITS = re.compile(r"(?P<kept>\b127\.0\.0\.1(?![\d.]))|\+?\d(?:[\s().-]{0,3}\d){5,}")
"""What may be a code or a number; this machine's own address is neither."""


def redact(text: str) -> str:
    """Replace keys, tokens and every run of six or more digits."""
    return _DIGITS.sub(lambda found: found["kept"] or "[digits]", _SECRETS.sub("[secret]", text))


class _JsonLines(logging.Formatter):
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
        event |= shown_fields(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1]:
            event["error"] = type(record.exc_info[1]).__name__
            event["where"] = _where(record.exc_info[1])
        return json.dumps(event, ensure_ascii=True, default=str)


def shown_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """Return fields as the log may show them, without secrets and numbers."""
    return {name: value if name in _IDS else _clean(value) for name, value in fields.items()}


def _clean(value: object) -> object:
    """Return a field's value for the log. Anything but a plain number becomes redacted text."""
    return value if value is None or isinstance(value, int | float) else redact(str(value))


_IDS = frozenset({"request_id", "challenge", "key_id", "successor"})
"""Our own random ids; digits in them mean nothing."""


def _where(error: BaseException) -> list[str]:
    """Return the call stack without the error's text, which may contain data that was sent to us."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]


def start_logging(process: str, level: str, stream: TextIO | None = None) -> None:
    """Send the log of this process to `stream` (standard output), from libraries only warnings and errors."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(_JsonLines(process))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    LOG.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda _kind, error, _trace: LOG.critical("process.failed", exc_info=error)
    threading.excepthook = lambda failed: LOG.critical("thread.failed", exc_info=failed.exc_value)


@contextmanager
def acts_logged(stream: TextIO) -> Iterator[None]:
    """Send errors, and records of acts with an author, to `stream` while a command runs in a terminal."""
    handler, before = logging.StreamHandler(stream), LOG.level
    handler.setFormatter(_JsonLines("operator"))
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


def log(name: str, level: int = logging.INFO, **fields: object) -> None:
    """Log that something happened. Never pass a code, a key or a whole number in a field."""
    LOG.log(level, name, extra={"fields": fields})
