"""Who counts as known, and that a number is one however it is spelled."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service import phone
from otp_service.crypto.lifetimes import DEVICE_LIFETIME
from otp_service.crypto.sealing import Seal
from otp_service.errors import Invalid, TooManyRequests
from otp_service.guard.history import MOST_SESSIONS, History
from otp_service.policy.limits import Cooldown
from otp_service.verification.send import SendRequest
from tests.support.examples import PATIENT
from tests.support.spine import NUMBERS, OPEN, Spine, open_spine, seen
from tests.support.valkey_server import ValkeyServer

OWNER, OTHER = NUMBERS[:2]
ADDRESS = "192.0.2.1"


@pytest.fixture
def spine(valkey: ValkeyServer) -> Iterator[Spine]:
    """Give a service where one message a minute goes to a number from those who are alike known."""
    with open_spine(valkey, guard=replace(OPEN, cooldown=Cooldown(ladder=(60,)))) as made:
        yield made


def send(spine: Spine, number: str, app: str = "web", **more: Any) -> str:  # noqa: ANN401 - as SendRequest
    """Send from a browser; gives the challenge's id."""
    caller = replace(spine.caller, address=ADDRESS, app=replace(spine.caller.app, name=app))
    return spine.send.send(caller, SendRequest(to=number, purpose="signup", **more)).challenge_id


def device_of(spine: Spine, number: str) -> tuple[str, str]:
    """Verify a number on a device. Return its device token and the verification token."""
    id_ = send(spine, number)
    spine.dispatcher.dispatch(id_, lambda: False)
    _, code = spine.phone.next()
    won = spine.check.verify(spine.caller, id_, code, remember_device=True)
    assert won.device_token
    return won.device_token, won.token


def known(spine: Spine, number: str, token: str, app: str = "web") -> str:
    """Send with a device token. Return how well the caller was known."""
    return seen(spine.store, send(spine, number, app, device_token=token)).known


def test_a_device_that_verified_the_number_has_a_budget_of_its_own(spine: Spine) -> None:
    """A stranger's recent message does not count against the device, nor the device's against a stranger."""
    token, _ = device_of(spine, OWNER)
    spine.store.scripts.offset += 61_000
    send(spine, OWNER)
    with pytest.raises(TooManyRequests):
        send(spine, OWNER)
    assert known(spine, OWNER, token) == "device"
    with pytest.raises(TooManyRequests):
        send(spine, OWNER, device_token=token)


@pytest.mark.parametrize(
    "wrong", ["another number", "another app", "expired", "forged", "a verification token", "nonsense"]
)
def test_no_other_token_makes_a_device_known(spine: Spine, wrong: str) -> None:
    """The caller counts as a stranger. That is no error, because tokens expire."""
    token, verification = device_of(spine, OWNER)
    number, app = (OTHER, "web") if wrong == "another number" else (OWNER, "web")
    if wrong == "another app":
        app = "other"
    spine.store.scripts.offset += DEVICE_LIFETIME * 1000 if wrong == "expired" else 61_000
    head, body, signature = token.split(".")
    shown = {
        "forged": f"{head}.{body}.{signature[:-4]}{'AAAA' if signature[-4:] != 'AAAA' else 'BBBB'}",
        "a verification token": verification,
        "nonsense": "a.b.c",
    }
    assert known(spine, number, shown.get(wrong, token), app) == ""


def test_a_recycled_number_knows_no_device_of_before(spine: Spine) -> None:
    """The number may belong to another person now. A device that verifies it afterwards is known again."""
    token, _ = device_of(spine, OWNER)
    spine.store.scripts.offset += 61_000
    spine.history.record_recycled([OWNER], spine.store.facts.time(), 3600)
    assert known(spine, OWNER, token) == ""
    spine.store.scripts.offset += 61_000
    newer, _ = device_of(spine, OWNER)
    assert known(spine, OWNER, newer) == "device"


def test_a_page_names_no_session_and_no_address(spine: Spine) -> None:
    """A page could choose a new one for each send. A server is trusted."""
    for name, value in (("session", "s"), ("address", "192.0.2.7")):
        with pytest.raises(Invalid) as caught:
            send(spine, OWNER, **{name: value})
        assert caught.value.rules() == [(name, "is accepted only with a secret key")]
    view = spine.send.send(spine.caller, SendRequest(to=OWNER, session="s", address=ADDRESS))
    assert seen(spine.store, view.challenge_id).known == "session"


def by_session(spine: Spine, number: str, session: str, app: str = "web") -> str:
    """Send for a server that names a session, and verify. Return how well the caller was known."""
    caller = replace(spine.caller, address=None, app=replace(spine.caller.app, name=app))
    id_ = spine.send.send(caller, SendRequest(to=number, session=session)).challenge_id
    spine.dispatcher.dispatch(id_, lambda: False)
    _, code = spine.phone.next()
    spine.check.verify(caller, id_, code)
    spine.store.scripts.offset += 61_000
    return seen(spine.store, id_).known


def test_a_session_is_known_by_the_number_that_it_verified(spine: Spine) -> None:
    """It is known for as long as a device is. A session that verified nothing counts less: strangers have sessions."""
    assert by_session(spine, OWNER, "the-owners") == "session"
    assert by_session(spine, OWNER, "the-owners") == "returning"
    assert by_session(spine, OTHER, "the-owners") == "session"
    assert by_session(spine, OWNER, "a-strangers") == "session"
    assert by_session(spine, OWNER, "the-owners", "other") == "session"
    spine.store.scripts.offset += (DEVICE_LIFETIME - 400) * 1000
    assert by_session(spine, OWNER, "the-owners") == "returning"
    spine.store.scripts.offset += DEVICE_LIFETIME * 1000
    assert by_session(spine, OWNER, "the-owners") == "session"


def test_a_session_is_known_under_every_lookup_key(spine: Spine) -> None:
    """This holds as long as the key that it was stored under is in the ring."""
    ring = {"l2": b"m" * 32, "l1": b"l" * 32}
    before, after = (
        History(spine.scripts, Seal({"n1": b"n" * 32}, keys, b"s" * 32), spine.store.pins, prefix="t-ring")
        for keys in ({"l1": ring["l1"]}, ring)
    )
    spine.scripts.call_each([before.recording_session("web", "s", OWNER, 60)])
    assert after.read_past(OWNER, "web", "s", 60).met
    assert not after.read_past(OTHER, "web", "s", 60).met
    assert after.erase(OWNER) == 1
    assert not after.read_past(OWNER, "web", "s", 60).met


def test_the_newest_sessions_of_a_number_are_known(valkey: ValkeyServer, spine: Spine) -> None:
    """Their count and their age are limited, so that a number that is verified every day does not fill the store."""
    for place in range(MOST_SESSIONS + 3):
        spine.scripts.call_each([spine.history.recording_session("web", f"s{place}", OWNER, 3600)])
        spine.store.scripts.offset += 1000
    met = [spine.history.read_past(OWNER, "web", f"s{place}", 3600).met for place in range(MOST_SESSIONS + 3)]
    assert met == [False] * 3 + [True] * MOST_SESSIONS
    spine.store.scripts.offset += 3600_000
    spine.scripts.call_each([spine.history.recording_session("web", "s", OWNER, 3600)])
    assert len(keys_of(spine)) == 1
    with valkey.client() as client:
        assert 0 < client.pttl(spine.history._sessions(OWNER)[0]) <= 3_600_000  # noqa: SLF001


def keys_of(spine: Spine) -> list[str]:
    """List what is stored of the sessions of a number."""
    [key] = spine.history._sessions(OWNER)  # noqa: SLF001
    found: list[str] = spine.scripts.call("read_hash", [key])[::2]
    return found


def test_a_recycled_number_knows_no_session_of_before(spine: Spine) -> None:
    """The number may belong to another person now."""
    by_session(spine, OWNER, "the-owners")
    assert spine.history.read_past(OWNER, "web", "the-owners", 3600).met
    spine.history.record_recycled([OWNER], spine.store.facts.time(), 3600)
    assert not spine.history.read_past(OWNER, "web", "the-owners", 3600).met


SPELLINGS = (
    "+91 98765 43210",
    "0091 98765 43210",
    "098765 43210",
    "9876543210",
    "+91-98765-43210",
    "\uff0b91 98765 43210",
    "\uff19\uff18\uff17\uff16\uff15\uff14\uff13\uff12\uff11\uff10",
    "\u096f\u096e\u096d\u096c\u096b\u096a\u0969\u0968\u0967\u0966",
    "+91 98765\u200b43210",
    "tel:+91-98765-43210",
    "+91\ufe0d9876543210",
    "\u206898765\u202f43210\u2069\t",
    "+9109876543210",
)
"""A dozen ways to write one number."""


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_number_is_one_however_it_is_spelled(spine: Spine, spelling: str) -> None:
    """The second send meets the cooldown of the first."""
    send(spine, SPELLINGS[0])
    with pytest.raises(TooManyRequests):
        send(spine, spelling, country="IN")


@PATIENT
@given(
    st.sampled_from(["+91", "0091", "0", ""]),
    st.lists(st.sampled_from(["", " ", "-", ".", "\u200b", "\u00a0"]), min_size=10, max_size=10),
    st.sampled_from([0x30, 0xFF10, 0x0660, 0x0966]),
    st.sampled_from(["", "\t", "\u200e"]),
)
def test_all_spellings_become_one_number(begin: str, between: list[str], zero: int, end: str) -> None:
    """This holds for any separators and any digits."""
    digits = "".join(chr(zero + int(digit)) + gap for digit, gap in zip("9876543210", between, strict=True))
    assert phone.parse(f"{begin}{digits}{end}", "IN").e164 == "+919876543210"
