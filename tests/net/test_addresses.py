"""No URL that an app can choose leads to an address inside the network of the service."""

import ipaddress
import socket
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.net.endpoint import check_url
from otp_service.net.public_only import lookup
from tests.support.fault_server import FaultServer
from tests.support.posts import NAME, failed, has_no_connection, known_as, post

# PORT is a port with a listener on loopback, over IPv4 and IPv6.
PAYLOADS = (
    "https://127.0.0.1:PORT/",
    "https://127.1:PORT/",
    "https://127.0.1:PORT/",
    "https://2130706433:PORT/",
    "https://0x7f000001:PORT/",
    "https://0x7f.0.0.1:PORT/",
    "https://0177.0.0.1:PORT/",
    "https://017700000001:PORT/",
    "https://127.0.0.01:PORT/",
    "https://127.0.0.1.:PORT/",
    "https://0:PORT/",
    "https://0.0.0.0:PORT/",
    "https://[::1]:PORT/",
    "https://[::]:PORT/",
    "https://[::ffff:127.0.0.1]:PORT/",
    "https://[::ffff:7f00:1]:PORT/",
    "https://[::127.0.0.1]:PORT/",
    "https://[0:0:0:0:0:ffff:127.0.0.1]:PORT/",
    "https://[2002:7f00:1::]:PORT/",
    "https://[64:ff9b::127.0.0.1]:PORT/",
    "https://[64:ff9b:1::7f00:1]:PORT/",
    "https://[2001:0:7f00:1::]:PORT/",
    "https://[::1%25lo]:PORT/",
    "https://[fe80::1]:PORT/",
    "https://app.example.com@127.0.0.1:PORT/",
    "https://app.example.com:443@127.0.0.1:PORT/",
    "https://127.0.0.1:PORT@app.example.com/",
    "https://app.example.com\\@127.0.0.1:PORT/",
    "https://127.0.0.1:PORT\\.app.example.com/",
    "https://127.0.0.1:PORT#app.example.com/",
    "https://app.example.com#@127.0.0.1:PORT/",
    "https://127.0.0.1:PORT?app.example.com/",
    "https://%6c%6f%63%61%6c%68%6f%73%74:PORT/",
    "https://①②⑦.⓪.⓪.①:PORT/",
    "https://ⓛocalhost:PORT/",
    "https://127。0。0。1:PORT/",
    "https://127.0.0.1\t:PORT/",
    "https://127.0.0.1:PORT/\r\nHost: app.example.com",
    " https://127.0.0.1:PORT/",
    "https:127.0.0.1:PORT/",
    "https:///127.0.0.1:PORT/",
    "//127.0.0.1:PORT/",
    "http://127.0.0.1:PORT/",
    "http://localhost:PORT/",
    "http://app.example.com:PORT/",
    "gopher://127.0.0.1:PORT/",
    "file:///etc/passwd",
    "unix:///run/redis.sock",
    "ftp://127.0.0.1:PORT/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://100.100.100.200/latest/meta-data/",
    "https://192.0.0.192/opc/v2/instance/",
    "https://168.63.129.16/metadata",
)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_url_that_leads_inside_is_refused_by_its_syntax(
    listener: FaultServer, six: socket.socket | None, payload: str
) -> None:
    """The policy check gives the rule, a try ends before any lookup, and no socket sees a connection."""
    url = payload.replace("PORT", str(listener.port))
    looked_up = []

    def resolve(host: str, port: int) -> Sequence[str]:
        looked_up.append(host)
        return lookup(host, port)

    assert (check_url(url) or "").startswith("must ")
    assert post(url, resolve, allow_private=False) == failed("bad_url")
    assert looked_up == []
    assert has_no_connection(listener, six)


NEVER = (
    "0.0.0.0",  # noqa: S104 - nothing binds to it
    "0.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
)
PRIVATE = (
    "10.0.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "::1",
    "fc00::1",
)


@pytest.mark.parametrize("address", [*NEVER, *PRIVATE])
def test_a_name_that_leads_inside_is_refused(
    listener: FaultServer, six: socket.socket | None, address: str
) -> None:
    """The addresses of a name are checked like an address in the URL."""
    url = f"https://{NAME}:{listener.port}/"
    assert post(url, known_as(address), allow_private=False) == failed("forbidden_address")
    assert has_no_connection(listener, six)


@pytest.mark.parametrize(
    "addresses", [("1.1.1.1", "127.0.0.1"), ("127.0.0.1", "1.1.1.1"), ("2606:4700::1", "::1")]
)
def test_one_address_inside_is_enough_to_refuse(
    listener: FaultServer, six: socket.socket | None, addresses: tuple[str, ...]
) -> None:
    """If a name has addresses inside and outside, none is used."""
    url = f"https://{NAME}:{listener.port}/"
    assert post(url, known_as(*addresses), allow_private=False) == failed("forbidden_address")
    assert has_no_connection(listener, six)


@pytest.mark.parametrize("address", NEVER)
def test_private_networks_do_not_open_metadata_or_embedded_addresses(
    listener: FaultServer, six: socket.socket | None, address: str
) -> None:
    """`allow_private` does not include them."""
    assert post(f"https://{NAME}:{listener.port}/", known_as(address)) == failed("forbidden_address")
    assert has_no_connection(listener, six)


@pytest.mark.parametrize("address", [*PRIVATE[:1], "192.168.1.1", "1.1.1.1", "169.254.169.254"])
def test_plain_http_stays_on_this_machine(address: str) -> None:
    """A false resolver cannot send an event unencrypted over a network."""
    assert post("http://localhost:9/", known_as(address)) == failed("forbidden_address")


@pytest.mark.parametrize(
    "url", ["http://app.example.com/", "http://10.0.0.1/", "http://localhost.example.com/"]
)
def test_plain_http_to_elsewhere_is_refused_even_with_private_networks(url: str) -> None:
    """Unencrypted calls are allowed to this machine only."""
    assert check_url(url, allow_private=True) == "must be https"


@given(st.ip_addresses())
def test_no_address_that_python_calls_special_is_allowed(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """The table covers all that the standard library knows; hypothesis prefers special addresses."""
    host = f"[{address}]" if address.version == 6 else str(address)
    special = not address.is_global or address.is_multicast or address.is_reserved
    if special:
        assert check_url(f"https://{host}/") == "must not be a private or reserved address"
    if check_url(f"https://{host}/") is None:
        assert check_url(f"https://{host}/", allow_private=True) is None
        assert not special


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com",
        "https://app.example.com/",
        "https://APP.example.com:8443/a/b;c?d=e&f=%20@:[]",
        "https://xn--bcher-kva.example/",
        "https://a-b.1a.example/",
        "https://intranet/",
        "https://localhost/",
        "https://8.8.8.8/",
        "https://192.0.1.1/",
        "https://172.32.0.1/",
        "https://223.255.255.255/",
        "https://[2606:4700:4700::1111]:1/",
        "https://app.example.com:65535/",
    ],
)
def test_a_good_url_breaks_no_rule(url: str) -> None:
    """Names are checked when their addresses are known; any port is allowed."""
    assert check_url(url) is None


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://app.example.com/", "must be https"),
        ("https://10.0.0.1/", "must not be a private or reserved address"),
        ("https://0x7f.1/", "must have an address in its usual form, or a name"),
        ("https://[12345::]/", "must have an address in its usual form, or a name"),
        ("https://-a.example.com/", "must have a host name of letters, digits, hyphens and dots"),
        ("https://a..example.com/", "must have a host name of letters, digits, hyphens and dots"),
        ("https://example.com./", "must have a host name of letters, digits, hyphens and dots"),
        (f"https://{'a' * 64}.example.com/", "must have a host name of letters, digits, hyphens and dots"),
        ("app.example.com", "must be a URL such as"),
        ("https://user@app.example.com/", "must be a URL such as"),
        ("https://app.example.com:0/", "must be a URL such as"),
        ("https://app.example.com:65536/", "must be a URL such as"),
        ("https://app.example.com/#x", "must be a URL such as"),
        ("https://app.example.com/a b", "must be a URL such as"),
        (f"https://app.example.com/{'a' * 2048}", "must be a URL such as"),
    ],
)
def test_a_bad_url_is_refused_with_its_rule(url: str, rule: str) -> None:
    """The rule tells an operator what to change."""
    assert (check_url(url) or "").startswith(rule)


@given(st.text(max_size=40) | st.text(max_size=40).map("https://".__add__))
def test_any_text_is_checked(text: str) -> None:
    """Whatever the policy contains, there is a result, and both settings agree about a good URL."""
    if check_url(text) is None:
        assert check_url(text, allow_private=True) is None
        assert text.startswith("https://")
