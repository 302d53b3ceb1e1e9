"""The audit trail: every act is kept with who, when and why, for 400 days, without anything secret."""

import json
import logging

import pytest

from otp_service.bootstrap.core import Core
from otp_service.bootstrap.stores import Stores
from otp_service.ops.audit import AuditNote
from otp_service.ops.audit_trail import KEEP, PAGE, AuditTrail
from otp_service.ops.pins import Pin
from tests.conftest import make_core
from tests.support.http_calls import AWAY
from tests.support.numbers import crowd
from tests.support.valkey_server import ValkeyServer


@pytest.fixture
def trail(store: Stores) -> AuditTrail:
    """A trail with a key of its own."""
    return AuditTrail(store.scripts, prefix=store.prefix)


def test_every_kind_of_act_is_kept(core: Core) -> None:
    """Whatever changes something, by whichever door, names its author here."""
    number = next(crowd())
    note = AuditNote(by="anna", reason="a test")
    core.begin_policy()
    text = core.policies.newest().text  # type: ignore[union-attr]
    core.policy_changes.apply(text + "\n", by="anna", reason="a test")
    key = core.keyring.issue("ops", "ben", by="anna", role="read")[1]
    core.keyring.rotate(key.id, by="anna", reason="a test")
    core.keyring.revoke(key.id, by="anna", reason="a test")
    core.pins.write(Pin(kind="number", subject=number, what="refuse"), note)
    core.pins.remove("number", number, note)
    core.recycled_numbers.record([number], note)
    core.erasure.forget(number, by="anna")
    core.replies.lift_suppression(number, by="anna")
    acts = core.audit_trail.read()
    assert [act.name for act in reversed(acts)] == [
        "policy.applied",
        "policy.applied",
        "key.issued",
        "key.rotated",
        "key.revoked",
        "pin.set",
        "pin.taken",
        "numbers.recycled",
        "number.forgotten",
        "suppression.lifted",
    ]
    assert {act.by for act in acts} == {"anna", "OTP_POLICY_FILE"}
    assert number not in json.dumps([act.about for act in acts])


def test_acts_of_one_moment_keep_their_order_and_are_all_read(trail: AuditTrail) -> None:
    """Each has a moment of its own, so that a page begins where the one before ended."""
    for place in range(PAGE + 5):
        trail.record("a.test", by="anna", place=place)
    first = trail.read()
    second = trail.read(first[-1].at)
    assert [act.about["place"] for act in first + second] == list(reversed(range(PAGE + 5)))
    assert [act.about["place"] for act in trail.read_all()] == list(reversed(range(PAGE + 5)))
    assert len(first) == PAGE


def test_nothing_secret_is_kept(trail: AuditTrail) -> None:
    """A number or a key in a reason is redacted, as in the log."""
    number = next(crowd())
    trail.record("a.test", by="anna", reason=f"call {number} with sk_{'x' * 24}", to=number)
    (act,) = trail.read()
    assert act.reason == "call [digits] with [secret]"
    assert act.about == {"to": "[digits]"}


def test_acts_are_kept_for_400_days(store: Stores, trail: AuditTrail, valkey: ValkeyServer) -> None:
    """A later act drops those that are older; the key has a time to live."""
    trail.record("old", by="anna")
    store.scripts.offset += KEEP - 60_000
    trail.record("newer", by="anna")
    assert [act.name for act in trail.read()] == ["newer", "old"]
    store.scripts.offset += 60_000
    trail.record("newest", by="anna")
    assert [act.name for act in trail.read()] == ["newest", "newer"]
    with valkey.client() as client:
        assert 0 < int(client.pttl(f"{store.prefix}:audit")) <= KEEP


def test_a_repeated_call_keeps_one_act_and_no_more_than_there_may_be(store: Stores) -> None:
    """The same act keeps its moment; the oldest makes room."""
    key = f"{store.prefix}:audit"
    for name in ("a", "b", "a", "c"):
        store.scripts.call("audit_write", [key], name, KEEP, 2)
    assert store.scripts.call("audit_read", [key], "+inf", 9)[::2] == ["c", "b"]


def test_an_act_stands_though_the_store_could_not_keep_it(caplog: pytest.LogCaptureFixture) -> None:
    """The act was done: the log has it, and says that the store has not."""
    core = make_core(AWAY, "http://127.0.0.1:9")
    with caplog.at_level(logging.INFO):
        core.audit_trail.record("a.test", by="anna")
    core.close()
    assert [record.message for record in caplog.records] == ["a.test", "store.away", "audit.not_stored"]
