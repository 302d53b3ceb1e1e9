"""Fixtures of the sandbox's tests; a test module asks for them with `pytest_plugins`."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests
from flask import Flask

from otp_service.sandbox import SandboxConfig, create_sandbox
from tests.support.sandbox_server import TOKEN, USUAL, Receiver, Running, Serving, Start


@pytest.fixture
def start() -> Iterator[Start]:
    """Start sandboxes; all end with the test."""
    with ExitStack() as stack:

        def start_one(config: SandboxConfig | None = None) -> Running:
            app = create_sandbox(config or USUAL)
            serving = Serving(app)
            stack.callback(serving.close)
            stack.callback(app.extensions["sandbox"].close)
            client = stack.enter_context(requests.Session())
            client.headers.update({"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"})
            return Running(app, serving.url, client)

        yield start_one


@pytest.fixture
def sandbox(start: Start) -> Running:
    """Start a sandbox with usual settings, whose reports come at once."""
    return start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a receiver of reports."""
    app = Flask("receiver")
    receiving = Receiver()
    app.add_url_rule("/<path:name>", view_func=lambda **_: receiving.take(), methods=["GET", "POST"])
    serving = Serving(app)
    receiving.url = f"{serving.url}/reports"
    yield receiving
    serving.close()
