"""The client's address behind trusted proxies."""

from collections.abc import Iterator

import pytest

from tests.conftest import POLICY, PUBLISHABLE, SECRET
from tests.support.http_api import Api, close, make_api
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ["tests.support.http_fixtures"]


ONE_A_MINUTE = f'{POLICY}\n[guard.address]\nrefuse = ["1/m"]\n'

NUMBERS = [f"+120255501{n:02}" for n in range(40)]


@pytest.fixture(params=[0, 1, 2])
def behind(valkey: ValkeyServer, request: pytest.FixtureRequest) -> Iterator[tuple[Api, int]]:
    """Build an application behind so many proxies that lets an address send once a minute."""
    made = make_api(valkey, text=ONE_A_MINUTE, trusted_proxies=request.param)
    yield made, request.param
    close(made)


@pytest.mark.parametrize(
    ("first", "second", "same_client"),
    [
        # what X-Forwarded-For holds, and behind how many proxies the two are one client
        (None, None, {0, 1, 2}),
        ("6.6.6.6", "7.7.7.7", {0, 2}),
        ("6.6.6.6, 198.51.100.7", "7.7.7.7, 198.51.100.7", {0, 1}),
        ("198.51.100.7, 203.0.113.1", "198.51.100.8, 203.0.113.1", {0, 1}),
        ("198.51.100.7, 203.0.113.1", "198.51.100.7, 203.0.113.2", {0, 2}),
        ("6.6.6.6, 198.51.100.7, 203.0.113.1", "7.7.7.7, 198.51.100.7, 203.0.113.1", {0, 1, 2}),
    ],
)
def test_the_client_is_known_by_trusted_proxies_only(
    behind: tuple[Api, int], first: str | None, second: str | None, same_client: set[int]
) -> None:
    """X-Forwarded-For counts from its end, one entry for each proxy; by default none is trusted."""
    api, proxies = behind
    statuses = [
        api.call(
            "POST",
            "/otp/send",
            key=PUBLISHABLE,
            body={"to": number},
            headers={"X-Forwarded-For": forwarded} if forwarded else {},
        ).status_code
        for number, forwarded in zip(NUMBERS, (first, second), strict=False)
    ]
    assert statuses == [202, 429 if proxies in same_client else 202]


def test_two_addresses_are_two_clients_and_a_server_is_none(behind: tuple[Api, int]) -> None:
    """Addresses of browsers are limited; all users of a server share its address."""
    api, _ = behind
    numbers = iter(NUMBERS)

    def status(key: str, address: str) -> int:
        body = {"to": next(numbers)}
        return api.call("POST", "/otp/send", key=key, body=body, address=address).status_code

    assert [status(PUBLISHABLE, f"192.0.2.{n}") for n in (1, 2, 1)] == [202, 202, 429]
    assert [status(PUBLISHABLE, f"2001:db8::{n}") for n in (1, 2)] == [202, 429]
    assert [status(SECRET, "192.0.2.1") for _ in range(3)] == [202, 202, 202]


@pytest.mark.parametrize(
    "header", ["X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Forwarded"]
)
def test_other_headers_of_a_proxy_are_ignored(behind: tuple[Api, int], header: str) -> None:
    """Only the address is read from a header."""
    api, _ = behind
    headers = {header: "for=6.6.6.6"}
    statuses = [
        api.call("POST", "/otp/send", key=PUBLISHABLE, body={"to": number}, headers=headers).status_code
        for number in NUMBERS[:2]
    ]
    assert statuses == [202, 429]
