"""Whose address counts: the whole matrix of proxies that are there, proxies that are trusted, and lies."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.guard.networks import subscriber
from otp_service.http.client_address import client_address
from otp_service.http.schemas.challenge import SendSchema
from tests.conftest import OPS, SECRET
from tests.support.http_api import NUMBER, Api
from tests.support.numbers import crowd

pytest_plugins = ["tests.support.http_fixtures"]

CLIENT, OTHER = "198.51.100.7", "6.6.6.6"
PROXIES = ("10.0.0.1", "10.0.0.2")
SPELLINGS = {
    "IPv4": ("198.51.100.7", "198.51.100.7"),
    "IPv4 with port": ("198.51.100.7:52100", "198.51.100.7"),
    "IPv6": ("2001:db8::7", "2001:db8::7"),
    "IPv6, another spelling": ("2001:DB8:0:0::7", "2001:db8::7"),
    "IPv6 in brackets": ("[2001:db8::7]", "2001:db8::7"),
    "IPv6 in brackets with port": ("[2001:db8::7]:52100", "2001:db8::7"),
    "IPv4-mapped": ("::ffff:198.51.100.7", "198.51.100.7"),
    "IPv4-mapped in brackets with port": ("[::ffff:198.51.100.7]:52100", "198.51.100.7"),
    "IPv6 with a zone": ("fe80::7%eth0", "fe80::7"),
    "blanks around": (" \t198.51.100.7\t ", "198.51.100.7"),
}
"""How a proxy may write its peer, and the one address that it means."""
GARBAGE = [
    "garbage",
    "unknown",
    "_hidden",
    "",
    " ",
    '"198.51.100.7"',
    "for=198.51.100.7",
    "198.51.100.7:",
    "198.51.100.7:1234567",
    "198.51.100.256",
    "198.51.100.07",
    "198.51.100.7%eth0",
    "198.51.100",
    "3325256711",
    "[198.51.100.7",
    "[2001:db8::7]x",
    "2001:db8::7:52100:x",
    "198.51.100.7\x00",
    "١٩٨.51.100.7",
    "9" * 5000,
]
LIES: dict[str, str | None] = {
    "none": None,
    "one address": OTHER,
    "two addresses": f"{OTHER}, 7.7.7.7",
    "two headers": f"{OTHER},7.7.7.7",
    "a trusted proxy's own address": PROXIES[0],
    "empty": "",
    "empty elements": ", ,",
    "garbage": "garbage",
    "a hundred": ", ".join([OTHER] * 100),
}
"""What the client itself wrote into X-Forwarded-For; a server joins several headers with a comma."""


def passed(lie: str | None, real: int, spelled: str = CLIENT) -> tuple[str | None, str]:
    """Pass through this many real proxies and return the header and the peer that arrive."""
    header, peer = lie, spelled
    for proxy in PROXIES[:real]:
        header = peer if header is None else f"{header}, {peer}"
        peer = proxy
    return header, peer


@pytest.mark.parametrize("real", [0, 1, 2])
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_with_the_right_count_the_client_is_found(real: int, lie: str, spelling: str) -> None:
    """Whatever it writes into the header, and however the proxy writes addresses."""
    spelled, meant = SPELLINGS[spelling]
    header, peer = passed(LIES[lie], real, spelled)
    assert client_address(header, peer, real) == meant


@given(
    lie=st.none()
    | st.text(st.characters(max_codepoint=255))
    | st.from_regex(r"([0-9.:\[\], ]{0,20})", fullmatch=True),
    real=st.integers(0, 2),
    client=st.ip_addresses(),
)
def test_with_the_right_count_no_forged_entry_counts(lie: str | None, real: int, client: Any) -> None:  # noqa: ANN401
    """The same for any text."""
    told, meant = (client_address(*passed(one, real, str(client)), real) for one in (lie, None))
    assert told == meant != ""


@pytest.mark.parametrize(
    ("trusted", "real", "lie", "seen"),
    [
        # Too few trusted: the innermost proxy that is not counted is taken for the client, so all share its limits.
        (0, 1, None, PROXIES[0]),
        (0, 1, OTHER, PROXIES[0]),
        (0, 2, OTHER, PROXIES[1]),
        (1, 2, None, PROXIES[0]),
        (1, 2, OTHER, PROXIES[0]),
        # Too many trusted, and no lie: fewer entries than that, so the peer.
        (1, 0, None, CLIENT),
        (2, 0, None, CLIENT),
        (2, 1, None, PROXIES[0]),
        # Too many trusted, and a lie: the client is whoever it says.
        (1, 0, OTHER, OTHER),
        (2, 1, OTHER, OTHER),
        (2, 0, f"{OTHER}, 7.7.7.7", OTHER),
    ],
)
def test_what_a_wrong_count_does(trusted: int, real: int, lie: str | None, seen: str) -> None:
    """Too few lump clients together; too many let them choose their address."""
    assert client_address(*passed(lie, real), trusted) == seen


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("trusted", [1, 2])
def test_all_invalid_addresses_are_one_shared_client(garbage: str, trusted: int) -> None:
    """An invalid address names no client, and is no way to get a new limit."""
    rest = [PROXIES[0]] * (trusted - 1)
    found = client_address(", ".join([OTHER, garbage, *rest]), PROXIES[-1], trusted)
    assert (found, subscriber(found)) == ("", "unknown")


@pytest.mark.parametrize("peer", ["", None, "unix:", "garbage"])
def test_a_peer_without_an_address_is_that_client_too(peer: str | None) -> None:
    """As behind a Unix socket, whose proxy should be counted."""
    assert client_address(None, peer, 0) == ""
    assert client_address(None, peer, 1) == ""
    assert client_address(CLIENT, peer, 1) == CLIENT


def test_an_empty_entry_counts() -> None:
    """If it were skipped, an entry from the client would be taken for its address."""
    assert client_address(f"{OTHER}, {CLIENT}, ", PROXIES[1], 2) == CLIENT


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_server_may_name_an_address_in_any_spelling(api: Api, spelling: str) -> None:
    """With or without a port it is one subscriber, whose budget all its sends share."""
    written, meant = SPELLINGS[spelling]
    for address, number in zip((written, meant, written), crowd(), strict=False):
        assert api.send(number, address=address).status_code == 202
    assert SendSchema().load({"to": NUMBER, "address": written})["address"] == meant


@pytest.mark.parametrize(
    "address", [*GARBAGE, "192.0.2.1/32", "192.0.2.1:", "[192.0.2.1", "1" * 300, 7, None]
)
def test_what_is_no_address_is_refused_and_counts_for_nobody(api: Api, address: object) -> None:
    """Otherwise all people of a server whose addresses cannot be read would share one budget."""
    for path, key in (("/otp/send", SECRET), ("/ops/blocks/explain", OPS)):
        answer = api.call("POST", path, key=key, body={"to": NUMBER, "address": address})
        assert answer.status_code == 422, answer.text
        assert [one["field"] for one in (answer.json or {})["errors"]] == ["address"]
    assert api.kept() == {}
