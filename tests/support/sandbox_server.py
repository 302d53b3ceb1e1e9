"""A sandbox on loopback and a receiver of its reports, for the sandbox's tests."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import requests
from flask import Flask, Response, jsonify, request
from werkzeug.serving import WSGIRequestHandler, make_server

from otp_service.sandbox import Sandbox, SandboxConfig
from tests.support.patience import PATIENCE

TOKEN = "38e896f55670311982434e929559b000"
DELIVERED = "12025550100"
BRIDGE = "918045000000"


class QuietHandler(WSGIRequestHandler):
    """Leaves standard error to pytest."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - the name is werkzeug's
        """Write nothing."""


class Serving:
    """Serves an application on a free port of loopback until it is closed."""

    def __init__(self, app: Flask, port: int = 0) -> None:
        self._server = make_server("127.0.0.1", port, app, threaded=True, request_handler=QuietHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class Running:
    """A sandbox that answers on loopback, and an authenticated client of it."""

    app: Flask
    url: str
    client: requests.Session

    @property
    def sandbox(self) -> Sandbox:
        """The parts of the sandbox."""
        sandbox: Sandbox = self.app.extensions["sandbox"]
        return sandbox

    def get(self, path: str, **parameters: object) -> requests.Response:
        """GET a path of the API."""
        return self.client.get(f"{self.url}/api/v2/{path}", params=_texts(parameters), timeout=PATIENCE)

    def post(self, path: str, body: object) -> requests.Response:
        """POST a JSON body to a path of the API."""
        return self.client.post(f"{self.url}/api/v2/{path}", json=body, timeout=PATIENCE)

    def send(self, to: str = DELIVERED, message: str = "hello", **more: object) -> requests.Response:
        """Send one SMS."""
        body = {"to": to, "message": message, "sender": "TXTSMS", "service": "T", **more}
        return self.post("sms/send", body)

    def send_by(self, channel: str, to: object = DELIVERED, **meta: object) -> requests.Response:
        """Send the code 482913 over any channel."""
        if channel == "sms":
            return self.send(str(to), "482913 is your code", **meta)
        if channel == "voice":
            body = {"bridge": BRIDGE, "to": to, "flow_id": "24", "variables[otp]": "482913", **meta}
            return self.post("outgoing/send", body)
        if channel == "lookup":
            return self.post("lookup/verify", {"to": to})
        return self.post(f"{channel}/message/send", template(channel, to, **meta))

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        """Call one of the control paths outside the API, without a token."""
        return requests.request(method, f"{self.url}{path}", json=body, timeout=PATIENCE)

    def force(self, number: str, channel: str, outcome: str | None, **more: str) -> None:
        """Force an outcome while the sandbox runs."""
        body = {"number": number, "channel": channel, "outcome": outcome, **more}
        self.control("PUT", "/outcomes", body).raise_for_status()

    def inbox(self, **query: object) -> list[dict[str, object]]:
        """Return the inbox as JSON."""
        answer = self.client.get(f"{self.url}/inbox", params=_texts(query), timeout=PATIENCE)
        rows: list[dict[str, object]] = answer.json()
        return rows

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait, woken by every change of the message store, until `holds`."""
        deadline, version = time.monotonic() + PATIENCE, -1
        while True:
            version = self.sandbox.mailbox.wait(version, deadline - time.monotonic())
            if holds():
                return
            assert time.monotonic() < deadline, "it never came to hold"


def template(channel: str, to: object = DELIVERED, **meta: object) -> dict[str, object]:
    """Return a body of the unified shape that sends the code 482913 by a template."""
    return {
        "channels": [{"name": channel, "from": BRIDGE, "meta": meta}],
        "recipient": {"to": to},
        "message": {
            "type": "template",
            "payload": {"name": "otp_login", "language": "en", "body_params": ["482913"]},
        },
    }


class Start(Protocol):
    """Starts a sandbox with other settings than the usual."""

    def __call__(self, config: SandboxConfig | None = None) -> Running:
        """Return the running sandbox."""


USUAL = SandboxConfig(frozenset({TOKEN}), report_delay=0)


@dataclass
class Report:
    """The received request."""

    body: dict[str, object]
    headers: Mapping[str, str]
    query: Mapping[str, str]
    raw: bytes
    method: str

    @property
    def payload(self) -> dict[str, object]:
        """The payload of an event that is wrapped."""
        payload = self.body["payload"]
        assert isinstance(payload, dict)
        return payload


@dataclass
class Receiver:
    """The customer's end of the webhooks. Answers `statuses` in turn, then 200."""

    url: str = ""
    statuses: "queue.SimpleQueue[int]" = field(default_factory=queue.SimpleQueue)
    reports: "queue.SimpleQueue[Report]" = field(default_factory=queue.SimpleQueue)
    handshakes: "queue.SimpleQueue[Report]" = field(default_factory=queue.SimpleQueue)
    shakes_hands: bool = True

    def next(self) -> Report:
        """Return the next report, waiting for it."""
        return self.reports.get(timeout=PATIENCE)

    def next_of(self, count: int) -> dict[object, Report]:
        """Return the next `count` reports by their status; several pushes may overtake each other."""
        found = [self.next() for _ in range(count)]
        return {report.payload["status"]: report for report in found}

    def take(self) -> tuple[Response, int]:
        """Answer one request."""
        raw = request.get_data()
        body: dict[str, object] = request.get_json() if request.is_json else {**request.form}
        report = Report(body, dict(request.headers), request.args.to_dict(), raw, request.method)
        if "challenge" in body:
            self.handshakes.put(report)
            return jsonify(challenge=body["challenge"] if self.shakes_hands else "?"), 200
        try:
            status = self.statuses.get_nowait()
        except queue.Empty:
            status = 200
        self.reports.put(report)
        answer = jsonify()
        if status // 100 == 3:
            answer.headers["Location"] = self.url
        return answer, status


def usual(**changes: object) -> SandboxConfig:
    """Return the usual settings with changes."""
    return replace(USUAL, **changes)  # type: ignore[arg-type]  # names and types are the test's business


def _texts(parameters: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in parameters.items()}
