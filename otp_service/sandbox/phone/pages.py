"""The inbox as JSON and as a page, its live feed, and the table of outcomes.

Knows what people and tests see. Must not know how messages come in. Strangers write the texts, so the page gets them as
data only, and it can load nothing but its own files.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from flask import Blueprint, Flask, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from otp_service.sandbox.api import answers
from otp_service.sandbox.mailbox import Mailbox, Message
from otp_service.sandbox.outcomes import FORCED, MEANING, Forced, Outcome, Outcomes
from otp_service.sandbox.phone import replies
from otp_service.sandbox.phone.controls import outcome_row
from otp_service.sandbox.times import iso_time

LIMIT, MOST = 100, 10_000
HEARTBEAT = 5.0
"""Seconds between two signs of life of a quiet feed, which also reveal that its page is gone."""
REST = 0.2
"""Seconds between two events, so that many messages do not flood a page."""
MOST_VIEWERS = 32
"""Each open page occupies a thread."""
NAMES = {
    "sms": "SMS",
    "whatsapp": "WhatsApp",
    "rcs": "RCS",
    "mip": "MIP",
    "voice": "Voice",
    "lookup": "Lookup",
}
"""The names of channels for people."""
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Pages:
    """Views of the inbox."""

    mailbox: Mailbox
    forced: Outcomes
    closing: threading.Event
    viewers: threading.BoundedSemaphore

    def mount(self, app: Flask) -> None:
        """Serve the pages at the root."""
        blueprint = Blueprint("pages", __name__)
        blueprint.add_url_rule("/", view_func=self.home)
        blueprint.add_url_rule("/inbox", view_func=self.inbox)
        blueprint.add_url_rule("/inbox", view_func=self.clear, methods=["DELETE"])
        blueprint.add_url_rule("/inbox/feed", view_func=self.feed)
        blueprint.add_url_rule("/outcomes", view_func=self.outcomes)
        blueprint.add_url_rule("/healthz", view_func=self.healthz)
        app.register_blueprint(blueprint)
        app.after_request(_secure)

    def home(self) -> Response:
        """Return the page for people."""
        groups = [(outcome, MEANING[outcome], _lines(rows)) for outcome, rows in groupby(_sorted(), _outcome)]
        page = render_template("inbox.html", groups=groups, names=NAMES, replies=replies.CHANNELS)
        return Response(page, content_type="text/html; charset=utf-8")

    def inbox(self) -> AnyResponse:
        """Return the messages, newest first; a browser gets the page."""
        if _is_browser():
            return self.home()
        # A plus that was not encoded in the query arrives as a space.
        wanted = request.args.get("to", "").strip().removeprefix("+")
        rows = self.mailbox.newest(_limit(), wanted or None)
        return answers.json_answer([_row(message) for message in rows], headers={"Vary": "Accept"})

    def clear(self) -> tuple[str, int]:
        """Delete all messages."""
        self.mailbox.clear()
        return "", 204

    def feed(self) -> Response:
        """Notify an open page of changes by server-sent events; the page then requests the inbox."""
        if not self.viewers.acquire(blocking=False):
            return answers.json_answer({"message": "Too many open pages."}, 503, {"Retry-After": "5"})
        response = Response(self._events(), content_type="text/event-stream")
        response.headers["X-Accel-Buffering"] = "no"
        response.call_on_close(self.viewers.release)
        return response

    def outcomes(self) -> AnyResponse:
        """Return the table of forced outcomes; a browser is redirected to its section of the page."""
        if _is_browser():
            return redirect(url_for("pages.home", _anchor="outcomes"))
        rows = [outcome_row(selection, outcome) for selection, outcome in self.forced.rows()]
        return answers.json_answer(rows, headers={"Vary": "Accept"})

    def healthz(self) -> Response:
        """Return that the process is alive."""
        return answers.json_answer({"status": "ok"})

    def _events(self) -> Iterator[str]:
        seen = -1
        while not self.closing.is_set():
            version = self.mailbox.wait(seen, HEARTBEAT)
            yield "event: beat\ndata:\n\n" if version == seen else f"event: news\ndata: {version}\n\n"
            seen = version
            self.closing.wait(REST)


def _row(message: Message) -> dict[str, object]:
    return {
        "id": message.id,
        "account": message.account,
        "channel": message.channel,
        "to": f"+{message.to}",
        "from": message.sender,
        "text": message.text,
        "code": message.code,
        "at": iso_time(message.submitted_at),
        "status": message.status,
        "ttl": message.ttl,
    }


def _limit() -> int:
    wanted = request.args.get("limit", "")
    if not (wanted.isascii() and wanted.isdecimal()):
        return LIMIT
    # Shorten it first: Python does not convert thousands of digits.
    return max(1, min(MOST, int(wanted.lstrip("0")[:9] or "0")))


def _is_browser() -> bool:
    best = request.accept_mimetypes.best_match(["application/json", "text/html"], default="application/json")
    return best == "text/html"


def _secure(response: Response) -> Response:
    if request.blueprint == "api":
        return response
    response.headers.extend(SECURITY_HEADERS)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _outcome(row: Forced) -> Outcome:
    return row.outcome


def _lines(rows: Iterable[Forced]) -> dict[tuple[int, int], list[str]]:
    """Return the channels of each range of numbers, which is given by its first number and its length."""
    lines: dict[tuple[int, int], list[str]] = {}
    for row in rows:
        lines.setdefault((row.first, row.count), []).append(row.channel)
    return lines


def _sorted() -> list[Forced]:
    order = list(MEANING)
    return sorted(FORCED, key=lambda row: order.index(row.outcome))
