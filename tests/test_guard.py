"""What a send is charged for, in which order, and who counts as one."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.guard import Charge, charges, subscriber
from otp_service.policy import Limits, Window
from tests.spine import PATIENT

LIMITS = Limits(number=(Window(3, 600),), address=(Window(10, 60),))
NUMBER = "+14155552671"


def test_the_caller_is_charged_before_the_victim() -> None:
    """A browser's address comes first: when it is refused, the number's budget is not touched."""
    assert list(charges(LIMITS, number=NUMBER, address="192.0.2.1")) == [
        Charge("address", "192.0.2.1", LIMITS.address),
        Charge("number", NUMBER, LIMITS.number),
    ]


def test_a_server_is_charged_for_the_number_only() -> None:
    """A server's address says nothing about who asked."""
    assert list(charges(LIMITS, number=NUMBER, address=None)) == [Charge("number", NUMBER, LIMITS.number)]


def test_operators_may_do_without_a_limit_for_addresses() -> None:
    """No windows, no charge."""
    limits = Limits(number=LIMITS.number, address=())
    assert [charge.rule for charge in charges(limits, number=NUMBER, address="192.0.2.1")] == ["number"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("192.0.2.1, 198.51.100.1", "unknown"),
        ("192.0.2.01", "unknown"),
        ("localhost", "unknown"),
    ],
)
def test_an_address_stands_for_a_subscriber(address: str, expected: str) -> None:
    """IPv4 by address, however it is written; IPv6 by network; all that is no address is one subscriber."""
    assert subscriber(address) == expected


@PATIENT
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_nobody_escapes_by_moving_within_his_network(network: int, one: int, other: int) -> None:
    """All addresses of an IPv6 subscriber are the same one (requirement D4)."""
    first, second = (str(ipaddress.IPv6Address(network << 64 | host)) for host in (one, other))
    if network:  # ::/64 holds the IPv4-mapped ones
        assert subscriber(first) == subscriber(second)


@PATIENT
@given(st.text(max_size=50))
def test_no_address_breaks_the_guard(address: str) -> None:
    """Whatever a proxy hands over, it is counted as somebody."""
    assert subscriber(address)
