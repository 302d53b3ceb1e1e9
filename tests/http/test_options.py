"""POST /otp/options: which channels a number would get, told before anything is sent."""

from collections.abc import Iterator

import pytest
from werkzeug.test import TestResponse

from otp_service.verification.options import MOST, WITHIN
from tests.conftest import ORIGIN, POLICY, PUBLISHABLE, SECRET
from tests.support.http_api import NUMBER, Api, close, make_api
from tests.support.http_calls import problem
from tests.support.valkey_server import ValkeyServer

ROUTES = """
whatsapp = { sender = "919000000001", template = "otp_login" }

[[route]]
match = { country = ["IN"] }
steps = [
  { channel = "whatsapp", upstream = "main", wait = "20s" },
  { channel = "sms", upstream = "main", wait = "20s" },
  { channel = "sms", upstream = "main", wait = "20s" },
]

[[route]]
match = { country = ["US", "GB"], purpose = ["login"] }
steps = [{ channel = "sms", upstream = "main" }]
"""


@pytest.fixture
def api(valkey: ValkeyServer) -> Iterator[Api]:
    """Build an application whose numbers take several routes."""
    before, _, _ = POLICY.partition("[[route]]")
    text = before.rstrip().replace('["*"]', '["US", "IN"]') + ROUTES
    made = make_api(valkey, text=text)
    yield made
    close(made)


def ask(api: Api, to: str, key: str = SECRET, **fields: object) -> TestResponse:
    """Ask for the options of a number, as a server or a page."""
    origin = ORIGIN if key == PUBLISHABLE else None
    body = {"to": to, **fields}
    return api.call("POST", "/otp/options", key=key, body=body, origin=origin, address="192.0.2.7")


def channels(answer: TestResponse) -> list[tuple[str, bool]]:
    """Return each channel, and whether it would be first."""
    assert answer.status_code == 200, answer.text
    return [(one["channel"], one["first"]) for one in (answer.json or {})["channels"]]


@pytest.mark.parametrize("key", [SECRET, PUBLISHABLE])
def test_the_channels_of_a_route_are_told_in_their_order(api: Api, key: str) -> None:
    """Each once; one is first."""
    assert channels(ask(api, "+919812345678", key)) == [("whatsapp", True), ("sms", False)]
    assert channels(ask(api, "98123 45678", key, country="IN")) == [("whatsapp", True), ("sms", False)]
    assert channels(ask(api, NUMBER, key, purpose="login")) == [("sms", True)]


@pytest.mark.parametrize(
    ("to", "fields"), [(NUMBER, {"purpose": "payment"}), ("+34612345678", {}), ("+447400123456", {})]
)
def test_what_no_send_reaches_is_said_as_a_send_says_it(api: Api, to: str, fields: dict[str, str]) -> None:
    """A purpose or a country without a route, and a country that the guard does not allow."""
    problem(ask(api, to, **fields), 422, "no_route")
    problem(api.call("POST", "/otp/send", key=SECRET, body={"to": to, **fields}), 422, "no_route")


def test_a_number_that_is_none_is_named(api: Api) -> None:
    """As for a send."""
    found = problem(ask(api, "+1 202"), 422, "invalid_number")
    assert found["errors"][0]["field"] == "to"


def test_nothing_that_is_known_of_a_person_changes_the_answer(api: Api) -> None:
    """Neither a STOP nor a pin nor a running challenge; nothing of the number is kept."""
    own = f"*{api.core.settings.redis_prefix}*"
    before = set(api.store.scan_iter(own, count=10_000))
    whole = channels(ask(api, NUMBER))
    assert set(api.store.scan_iter(own, count=10_000)) == before
    api.core.store.suppressions.add(api.core.seal.index("suppressed", NUMBER), {"why": "STOP"}, 60)
    api.call("POST", "/otp/send", key=SECRET, body={"to": NUMBER})
    assert channels(ask(api, NUMBER)) == whole
    assert channels(ask(api, "+12025550199")) == whole


def test_an_address_asks_sixty_times_a_minute(api: Api) -> None:
    """A page's browser, and whom a server names; a server that names nobody has its own people to limit."""
    began = api.clock()
    for _ in range(MOST):
        api.later(began - api.clock())  # the minute stands still, for a slow machine answers fewer in one
        channels(ask(api, NUMBER, PUBLISHABLE))
    refused = ask(api, NUMBER, PUBLISHABLE)
    assert 0 < problem(refused, 429, "too_many_requests")["retry_after"] <= WITHIN / 1000
    assert refused.headers["Retry-After"]
    problem(ask(api, NUMBER, address="192.0.2.7"), 429, "too_many_requests")
    channels(ask(api, NUMBER, address="192.0.2.8"))
    channels(ask(api, NUMBER))
    api.core.scripts.offset += WITHIN
    channels(ask(api, NUMBER, PUBLISHABLE))


@pytest.mark.parametrize(("networks", "apart"), [(4, 1), (16, 0x100)])
def test_who_has_many_ipv6_networks_asks_little_more(api: Api, networks: int, apart: int) -> None:
    """As for a send: a /56 asks as often as four networks of 64 bits, a /48 as sixteen."""

    def ask_from(network: int) -> TestResponse:
        api.later(began - api.clock())
        return ask(api, NUMBER, address=f"2001:db8:0:{network * apart:x}::1")

    began = api.clock()
    for network in range(networks):
        for _ in range(MOST):
            channels(ask_from(network))
    problem(ask_from(networks), 429, "too_many_requests")


def test_pages_whose_address_is_unreadable_share_one_limit(api: Api) -> None:
    """As for a send: what is in front says no address, so all of them are one."""

    def ask_from(peer: str) -> TestResponse:
        body = {"to": NUMBER}
        return api.call("POST", "/otp/options", key=PUBLISHABLE, body=body, origin=ORIGIN, address=peer)

    began = api.clock()
    for _ in range(MOST):
        api.later(began - api.clock())
        channels(ask_from("unknown"))
    problem(ask_from("hidden"), 429, "too_many_requests")


def test_a_page_names_no_address(api: Api) -> None:
    """It could choose another one each time."""
    found = problem(ask(api, NUMBER, PUBLISHABLE, address="192.0.2.9"), 422, "invalid_request")
    assert found["errors"][0]["field"] == "address"
