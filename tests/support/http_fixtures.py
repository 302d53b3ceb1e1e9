"""Fixtures of the HTTP API's tests; a test module asks for them with `pytest_plugins`."""

from collections.abc import Iterator

import pytest
from flask import Flask

from otp_service.http import app as http_app
from otp_service.sandbox import create_sandbox
from tests.conftest import make_core
from tests.support.http_api import NOBODY, UPSTREAM_TOKEN, Api, close, make_api
from tests.support.http_calls import AWAY
from tests.support.sandbox_server import Serving, usual
from tests.support.valkey_server import ValkeyServer


@pytest.fixture
def api(valkey: ValkeyServer) -> Iterator[Api]:
    """Build an application whose upstream nobody answers for."""
    made = make_api(valkey)
    yield made
    close(made)


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[Flask, str]]:
    """Start a sandbox on loopback; yield it and its address."""
    sandbox = create_sandbox(usual(tokens=frozenset({UPSTREAM_TOKEN})))
    serving = Serving(sandbox)
    yield sandbox, serving.url
    sandbox.extensions["sandbox"].close()
    serving.close()


@pytest.fixture
def live(valkey: ValkeyServer, upstream: tuple[Flask, str]) -> Iterator[Api]:
    """Build an application whose messages reach a sandbox."""
    sandbox, url = upstream
    made = make_api(valkey, url)
    made.flask.extensions["test_sandbox"] = sandbox
    yield made
    close(made)
    sandbox.test_client().delete("/inbox")


@pytest.fixture
def away(valkey: ValkeyServer) -> Iterator[Api]:
    """Build an application whose store cannot be reached."""
    core = make_core(AWAY, NOBODY)
    made = Api(core, http_app.web(core), valkey.client())
    yield made
    close(made)
