"""An app's endpoint for events, on loopback: answers as a test wants and keeps what it got."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request
from standardwebhooks.webhooks import Webhook

from tests.support.patience import PATIENCE
from tests.support.sandbox_server import Serving


@dataclass(frozen=True)
class Post:
    """One request as it came; names of headers are in small letters."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The event's id, the same in every try."""
        return self.headers["webhook-id"]

    def read(self, secret: str) -> dict[str, Any]:
        """Check the signature with the specification's own library; gives the event."""
        event: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return event


class Endpoint:
    """Answers `statuses` in turn, then 204; `says` stands in the body and a header of each answer."""

    def __init__(self, *, says: str = "") -> None:
        self.statuses: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.posts: list[Post] = []
        self._says = says
        self._came = threading.Condition()
        app = Flask("endpoint")
        app.add_url_rule("/hook", view_func=self._take, methods=["POST"])
        self._serving = Serving(app)
        self.url = f"{self._serving.url}/hook"

    def _take(self) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        with self._came:
            self.posts.append(Post(headers, request.get_data()))
            self._came.notify_all()
        status = 204 if self.statuses.empty() else self.statuses.get()
        return Response(self._says, status, {"Location": f"/{self._says}"})

    def wait(self, holds: Callable[[list[Post]], bool]) -> list[Post]:
        """Wait, woken by every request, until what came `holds`; gives all of it."""
        with self._came:
            assert self._came.wait_for(lambda: holds(self.posts), PATIENCE), f"only {self.posts}"
            return list(self.posts)

    def close(self) -> None:
        """Stop serving."""
        self._serving.close()
