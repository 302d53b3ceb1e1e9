"""New sends are refused before they reach a view while more are requested than can be sent; nothing else is."""

from typing import Any

import pytest

from otp_service.delivery.pace_board import Share
from otp_service.delivery.send_wait import SendWait
from otp_service.http.door import Door
from otp_service.telemetry.metrics import Metrics
from tests.conftest import ORIGIN
from tests.support.http_api import Api

pytest_plugins = ["tests.support.http_fixtures"]

OPS_PORT = 8081
SEND = {"REQUEST_METHOD": "POST", "PATH_INFO": "/otp/send", "SERVER_PORT": "8080"}


def a_door(api: Api, *, waiting: int) -> tuple[Door, Metrics]:
    """Make the door of a process that has read how many messages wait; one leaves each second."""
    metrics = Metrics()
    wait = SendWait(api.core.store.pace_board, metrics, limit=5, clock=lambda: 100.0)
    api.core.store.pace_board.write("worker", Share(0, waiting, 1.0))
    wait.refresh()
    return Door(wait, metrics, active=api.core.active, ops_port=OPS_PORT), metrics


def test_a_new_send_that_would_wait_too_long_is_refused(api: Api) -> None:
    """As the view would: the same error, told when to come again, and counted by the same metrics."""
    door, metrics = a_door(api, waiting=10)
    refusal = door(SEND)
    assert refusal is not None
    assert (refusal.error.code, refusal.error.retry_after) == ("busy", 15)
    page = metrics.page(shared=False).decode()
    assert 'otp_http_requests_total{route="/otp/send",status="503"} 1.0' in page
    assert 'otp_sends_shed_total{act="send"} 1.0' in page


@pytest.mark.parametrize(
    "other",
    [
        {"HTTP_IDEMPOTENCY_KEY": "a"},
        {"PATH_INFO": "/otp/verify"},
        {"PATH_INFO": "/healthz", "REQUEST_METHOD": "GET"},
        {"PATH_INFO": "/otp/000000/resend"},
        {"REQUEST_METHOD": "OPTIONS"},
        {"REQUEST_METHOD": "HEAD"},
        {"SERVER_PORT": str(OPS_PORT)},
    ],
    ids=str,
)
def test_everything_else_passes(api: Api, other: dict[str, str]) -> None:
    """A repetition of what was accepted, checks, resends, probes, preflights, and what the view answers otherwise."""
    door, _ = a_door(api, waiting=10)
    assert door(SEND | other) is None


def test_a_send_that_can_leave_in_time_passes(api: Api) -> None:
    """The door refuses nothing that the view would accept."""
    door, metrics = a_door(api, waiting=1)
    assert door(SEND) is None
    assert "otp_sends_shed_total{" not in metrics.page(shared=False).decode()


@pytest.mark.parametrize(
    ("origin", "readable"), [(ORIGIN, True), ("https://evil.example", False), (None, False)]
)
def test_a_page_of_an_app_may_read_the_refusal(api: Api, origin: str | None, readable: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Or it would not know when to come again."""
    door, _ = a_door(api, waiting=10)
    refusal = door(SEND | ({"HTTP_ORIGIN": origin} if origin else {}))
    assert refusal is not None
    found: dict[str, Any] = dict(refusal.headers)
    assert found == (
        {
            "Access-Control-Allow-Origin": ORIGIN,
            "Access-Control-Expose-Headers": "Retry-After, X-Request-Id",
        }
        if readable
        else {}
    )
