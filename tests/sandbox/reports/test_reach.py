"""Where the sandbox posts, and where it does not."""

import logging
from collections.abc import Sequence

import pytest

from otp_service.sandbox.reports.reach import is_near
from tests.support.sandbox_server import Start, usual


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["10.1.2.3", "fd12::1"], ["::1"], ["172.31.255.1"]])
def test_this_machine_and_private_networks_are_near(addresses: Sequence[str]) -> None:
    """Addresses count, whatever the name of the host says."""
    assert is_near("https://receiver.example/reports", lambda _host, _port: addresses)


@pytest.mark.parametrize(
    "addresses",
    [
        ["192.168.0.9", "93.184.216.34"],
        ["169.254.169.254"],
        ["100.100.100.200"],
        ["::ffff:93.184.216.34"],
        ["fe80::1%eth0"],
        [],
    ],
)
def test_everything_else_is_far(addresses: Sequence[str]) -> None:
    """Also if only one address of several is."""
    assert not is_near("https://receiver.example/reports", lambda _host, _port: addresses)


@pytest.mark.parametrize("url", ["", "http://", "http://[::1", "http://host:99999/", "http://203.0.113.9/"])
def test_a_url_without_a_near_host_is_far(url: str) -> None:
    """Also if it cannot be read."""
    assert not is_near(url)


@pytest.mark.parametrize("flags", [{"reach_out": False}, {"reach_out": True}])
def test_a_report_leaves_only_if_the_sandbox_reaches_out(
    start: Start, caplog: pytest.LogCaptureFixture, flags: dict[str, bool]
) -> None:
    """It is dropped, and the log says why; 0.0.0.0 is no address of a receiver but answers here."""
    caplog.set_level(logging.WARNING)
    sandbox = start(usual(report_url="http://0.0.0.0:9/reports", report_retries=0, **flags))
    sandbox.send()
    sandbox.until(lambda: "a report was dropped" in caplog.text)
    assert ("--reach-out" in caplog.text) is not flags["reach_out"]
