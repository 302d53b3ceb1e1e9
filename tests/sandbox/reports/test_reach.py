"""Where the sandbox posts, and where it does not."""

import logging
from collections.abc import Sequence

import pytest
import requests

from otp_service.sandbox.reports.reach import FarError, near_addresses, open_session
from tests.support.patience import PATIENCE, until
from tests.support.sandbox_server import Receiver, Running, Start, usual

pytest_plugins = ("tests.support.sandbox_fixtures",)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["10.1.2.3", "fd12::1"], ["::1"], ["172.31.255.1"]])
def test_this_machine_and_private_networks_are_near(addresses: Sequence[str]) -> None:
    """Addresses count, whatever the name of the host says."""
    assert near_addresses("receiver.example", 80, lambda _host, _port: addresses) == addresses


@pytest.mark.parametrize(
    "addresses",
    [
        ["192.168.0.9", "93.184.216.34"],
        ["169.254.169.254"],
        ["100.100.100.200"],
        ["::ffff:93.184.216.34"],
        ["fe80::1%eth0"],
        ["no address"],
        [],
    ],
)
def test_everything_else_is_far(addresses: Sequence[str]) -> None:
    """Also if only one address of several is."""
    with pytest.raises(FarError):
        near_addresses("receiver.example", 80, lambda _host, _port: addresses)


@pytest.mark.parametrize("host", ["0.0.0.0", "203.0.113.9", "3405803785", "x" * 64, "a..b"])  # noqa: S104 - not bound
def test_an_address_in_any_form_and_an_impossible_name_are_far(host: str) -> None:
    """A resolver reads more forms of an address than the usual one."""
    with pytest.raises(FarError):
        near_addresses(host, 80)


def test_a_post_goes_to_the_address_that_was_checked(receiver: Receiver) -> None:
    """A name that leads elsewhere at its second lookup (DNS rebinding) is not looked up a second time."""
    answers = iter([["127.0.0.1"], ["203.0.113.9"]])
    port = int(receiver.url.split(":")[2].partition("/")[0])
    with open_session(reach_out=False, resolve=lambda _host, _port: next(answers)) as session:
        session.post(f"http://receiver.example:{port}/reports", json={}, timeout=PATIENCE).raise_for_status()
        assert receiver.next().headers["Host"] == f"receiver.example:{port}"
        with pytest.raises(FarError):
            session.post(f"http://other.example:{port}/reports", json={}, timeout=PATIENCE)


def test_the_next_near_address_is_tried(receiver: Receiver) -> None:
    """A receiver may listen on one of the addresses of its name only."""
    port = int(receiver.url.split(":")[2].partition("/")[0])
    with open_session(reach_out=False, resolve=lambda _host, _port: ["::1", "127.0.0.1"]) as session:
        assert session.post(f"http://receiver.example:{port}/reports", json={}, timeout=PATIENCE).ok
    with (
        open_session(reach_out=False, resolve=lambda _host, _port: ["::1"]) as session,
        pytest.raises(requests.ConnectionError),
    ):
        session.post(f"http://receiver.example:{port}/reports", json={}, timeout=PATIENCE)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_registered_webhook_is_not_greeted_outside(sandbox: Running, scheme: str) -> None:
    """The handshake is a post, too."""
    body = {"name": "mine", "uri": f"{scheme}://203.0.113.9/hook"}
    answer = sandbox.post("developer/webhooks", body)
    assert answer.status_code == 422
    assert "--reach-out" in answer.json()["errors"]["uri"][0]


@pytest.mark.parametrize("flags", [{"reach_out": False}, {"reach_out": True}])
def test_a_report_leaves_only_if_the_sandbox_reaches_out(
    start: Start, caplog: pytest.LogCaptureFixture, flags: dict[str, bool]
) -> None:
    """It is dropped, and the log says why; 0.0.0.0 is no address of a receiver but answers here."""
    caplog.set_level(logging.WARNING)
    sandbox = start(usual(report_url="http://0.0.0.0:9/reports", report_retries=0, **flags))
    sandbox.send()
    until(lambda: "a report was dropped" in caplog.text)
    assert ("--reach-out" in caplog.text) is not flags["reach_out"]
