"""Asks an app's own endpoint about a send: one door for SIM swaps, line types and device risk (Standard Webhooks).

Knows the request, its signature, the answer, and what counts as none. Must not know what follows from the answer.

A person waits meanwhile, so there is one try within 300 ms, in a pool of its own: a slow endpoint holds no thread of a
send for longer, and no more than its app's share of the pool.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from secrets import token_urlsafe
from typing import Literal, get_args

from otp_service.errors import Busy
from otp_service.events import standard_webhooks
from otp_service.guard.lines import Line, decided
from otp_service.guard.rules import GuardedSend
from otp_service.history.note import Note, What
from otp_service.net.public_only import PostResult, PublicClient
from otp_service.net.shares import Shares
from otp_service.policy.model import DecisionHook
from otp_service.telemetry.logs import log
from otp_service.telemetry.metrics import Metrics

TYPE = "decision.requested"
WITHIN = 0.3
"""Seconds for everything: lookup, connection, TLS and the answer."""
THREADS, APP_SHARE = 16, 8
"""Questions under way in a process, and how many of them may be one app's."""
RETRY_AFTER = 2
UNANSWERED = (
    "The app did not decide about this send in time, and its policy lets nothing leave without that. Nothing was "
    "sent. Try again after retry_after seconds."
)
MOST_BYTES = 1024
"""Bytes of an answer."""
Level = Literal["allow", "human_check", "cheap", "refuse"]
"""What an endpoint may answer, the mildest first."""
_LEVELS = frozenset(get_args(Level))
_FAILURES = {"timeout": "late"}
"""Our words for those of the client; others stay."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What follows for a send, after `seconds`. `failure` says why the policy decided, empty if the endpoint did."""

    level: Level
    failure: str
    seconds: float

    def as_note(self, about: Note) -> Note:
        """Make the note of it; `about` says which send it is about."""
        return replace(about, what=What.DECIDED, result=self.level, reason=self.failure, seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: whose hook it is, the send, and the request that it came with. `record` receives what follows."""

    hook: DecisionHook
    asked: GuardedSend
    request_id: str
    record: Callable[[Answer], None] = lambda _: None


class Decisions:
    """Asks the endpoints of apps; many threads may use it."""

    def __init__(
        self,
        secrets: Mapping[str, Sequence[bytes]],
        metrics: Metrics,
        *,
        client: PublicClient,
        clock: Callable[[], float] = time.time,
        within: float = WITHIN,
    ) -> None:
        """`secrets` are by the name of their setting, each with the newest first; `clock` is the wall's (seconds).

        `within` (seconds) takes the place of the limits of `client`.
        """
        self._secrets = secrets
        self._metrics = metrics
        self._client = client
        self._clock = clock
        self.within = within
        self._shares = Shares(APP_SHARE)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="decision")

    def lines(
        self, question: Question | None, preview: Callable[[], str], *, proof: bool
    ) -> list[Line] | None:
        """Ask about a send, and return the lines that the answer adds to its own.

        None if its app was not asked: by `preview`, the guard refuses the send anyway, or wants a check that the
        caller has no `proof` of. Raises Busy.
        """
        if question is None:
            return []
        verdict = preview()
        if verdict not in {"allow", "cheap"} and not (verdict == "human_check" and proof):
            return None
        level = self.ask(question)
        return [] if level == "allow" else [decided(level)]

    def ask(self, question: Question) -> Level:
        """Return what the endpoint answers in time, or allow if the policy says so for a failure.

        Raises Busy if the policy says that nothing leaves without an answer.
        """
        began, app = time.monotonic(), question.asked.app
        level, reason = self._answered(question)
        seconds = time.monotonic() - began
        self._metrics.decision_seconds.labels(app, level or "failed").observe(seconds)
        question.record(Answer(level or question.hook.on_failure, reason, seconds))
        if level:
            return level
        log(
            "decision.failed",
            logging.WARNING,
            app=app,
            reason=reason,
            instead=question.hook.on_failure,
            request_id=question.request_id,
        )
        if question.hook.on_failure == "refuse":
            raise Busy(UNANSWERED, retry_after=RETRY_AFTER)
        return "allow"

    def _answered(self, question: Question) -> tuple[Level | None, str]:
        """Return the answer, or the reason why there is none."""
        secrets = self._secrets.get(question.hook.secret_env, ())
        if not secrets:
            return None, "no_secret"
        now = self._clock()
        body = _body(question, now)
        headers = standard_webhooks.sign(f"dec_{token_urlsafe(12)}", int(now), body, secrets)
        client = replace(self._client, connect_limit=self.within, total_limit=self.within)
        ends = time.monotonic() + self.within
        with ExitStack() as held:
            if not held.enter_context(self._shares.take(question.asked.app)):
                return None, "full"
            started = self._pool.submit(client.post, question.hook.url, headers, body)
            # The share is held until the thread is free again: a lookup cannot be interrupted.
            share = held.pop_all()
            started.add_done_callback(lambda _: share.close())
        try:
            return _read(started.result(max(0.0, ends - time.monotonic())))
        except TooLate:
            started.cancel()
            return None, "late"

    def close(self) -> None:
        """Ask no more; what is under way ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _body(question: Question, now: float) -> bytes:
    asked = question.asked
    data = {
        "app": asked.app,
        "to": asked.number.e164,
        "country": asked.number.country,
        "number_type": asked.number.type,
        "purpose": asked.purpose,
        "channel": asked.channel,
        "known": asked.known or "stranger",
        "address": asked.address or "",
        "session": asked.session,
        "request_id": question.request_id,
    }
    at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"type": TYPE, "timestamp": at, "data": data}, separators=(",", ":")).encode()


def _read(answer: PostResult) -> tuple[Level | None, str]:
    if answer.status != HTTPStatus.OK:
        return None, _FAILURES.get(answer.reason, answer.reason) if answer.status is None else "bad_status"
    if len(answer.body) > MOST_BYTES:
        return None, "too_long"
    try:
        level = json.loads(answer.body)["decision"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None, "unreadable"
    return (level, "") if isinstance(level, str) and level in _LEVELS else (None, "unknown_answer")  # type: ignore[return-value]
