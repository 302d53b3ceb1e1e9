"""Keys of all rings change while processes at two stages run: nothing fails and nothing is forgotten."""

import itertools
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain

import jwt
import pytest

from otp_service.bootstrap.core import Core
from otp_service.challenge.model import State, Status
from otp_service.errors import NumberOptedOut
from otp_service.ops.rekeying import Tally, record_kinds, rekey
from otp_service.upstream.port import Receipt, Reply, Stage
from otp_service.verification.caller import Caller
from otp_service.verification.proof import Verification
from otp_service.verification.resend import ResendRequest
from otp_service.verification.send import SendRequest
from tests.support.fault_server import FaultServer
from tests.support.journeys import Upstream, account, four_channels, open_core
from tests.support.numbers import crowd
from tests.support.spine import prefix_of, seen
from tests.support.valkey_server import ValkeyServer

RINGS = ("peppers", "number_keys", "lookup_keys", "signing_keys", "device_keys")
KEYS = {ring: {key_id: secrets.token_bytes(32) for key_id in ("old", "new")} for ring in RINGS}
STAGES = {"before": ("old",), "added": ("old", "new"), "moved": ("new", "old"), "dropped": ("new",)}


@dataclass
class Rotation:
    """One deployment with processes at different stages of a rotation."""

    valkey: ValkeyServer
    upstream: Upstream
    text: str
    shared: Mapping[str, object]
    numbers: Iterator[str] = field(default_factory=crowd)
    keys: Iterator[int] = field(default_factory=itertools.count)
    cores: dict[str, Core] = field(default_factory=dict)

    def of(self, name: str) -> Core:
        """Return the process at a stage of the rotation."""
        if name not in self.cores:
            rings = {ring: {key_id: KEYS[ring][key_id] for key_id in STAGES[name]} for ring in RINGS}
            self.cores[name] = open_core(self.valkey, self.text, **{**self.shared, **rings})
        return self.cores[name]

    def later(self, milliseconds: int) -> None:
        """Move the clocks of all processes."""
        for core in self.cores.values():
            core.scripts.offset += milliseconds


@contextmanager
def rotating(valkey: ValkeyServer) -> Iterator[Rotation]:
    """Give a deployment with an upstream that accepts everything."""
    upstream = Upstream()
    with FaultServer() as server:
        server.respond(upstream)
        shared = {"redis_prefix": f"t{secrets.token_hex(6)}", "subject_key": secrets.token_bytes(32)}
        made = Rotation(valkey, upstream, four_channels(account("main", server.url)), shared)
        yield made
        for core in made.cores.values():
            core.close()


@pytest.fixture
def rotation(valkey: ValkeyServer) -> Iterator[Rotation]:
    """Give a deployment."""
    with rotating(valkey) as made:
        yield made


def caller(core: Core) -> Caller:
    """Give the app `web` as a server that calls."""
    return Caller(app=core.policy.apps["web"], active=core.active(), request_id="r" * 16)


def send(core: Core, number: str, key: str | None = None) -> str:
    """Send. Return the challenge's id."""
    return core.send.send(caller(core), SendRequest(to=number), key).challenge_id


def stop(core: Core, number: str, word: str = "STOP") -> None:
    """Let a person write a word."""
    core.replies.record_reply("main", Reply(channel="sms", sender=number, text=word))


def hand_over(rotation: Rotation, one: Core, other: Core) -> Verification:
    """Begin everything in one process and continue it in another."""
    number, key = next(rotation.numbers), f"key {next(rotation.keys)}"
    id_ = send(one, number, key)
    assert send(other, number, key) == id_
    one.dispatcher.dispatch(id_, lambda: False)
    delivery = seen(one.store, id_).last
    by_reference = Receipt(channel="sms", stage=Stage.SENT, reason="", reference=delivery.reference)
    assert other.receipts.record_receipt("main", by_reference) == "changed"
    by_id = Receipt(channel="sms", stage=Stage.DELIVERED, reason="", upstream_id=delivery.upstream_id)
    assert other.receipts.record_receipt("main", by_id) == "changed"
    assert seen(one.store, id_).last.status is Status.DELIVERED
    rotation.later(2000)
    one.resend.resend(caller(one), id_, ResendRequest(channel="sms"), "again")
    other.resend.resend(caller(other), id_, ResendRequest(channel="sms"), "again")
    assert len(seen(one.store, id_).deliveries) == 2
    other.dispatcher.dispatch(id_, lambda: False)
    proof = other.check.verify(caller(other), id_, rotation.upstream.codes["sms"])
    assert proof.view.status is State.VERIFIED
    kid = jwt.get_unverified_header(proof.token)["kid"]
    for core in (one, other):
        assert kid in {key["kid"] for key in core.signer.key_set()["keys"]}
    assert one.redeem.redeem(caller(one), proof.token)["phone_number"] == number
    return proof


def hold_back(rotation: Rotation, one: Core, other: Core) -> None:
    """Take a STOP in one process: it holds in the other, which lifts it for both."""
    number = next(rotation.numbers)
    under_way = send(one, number)
    stop(one, number)
    with pytest.raises(NumberOptedOut):
        send(other, number)
    before = len(rotation.upstream.took)
    other.dispatcher.dispatch(under_way, lambda: False)
    assert len(rotation.upstream.took) == before
    stop(other, number, "START")
    for core in (one, other):
        assert core.replies.read_suppression(number) is None
        send(core, number)


def remember(rotation: Rotation, one: Core, other: Core) -> None:
    """Let a person write to one process: the channel is open for the other, too."""
    number = next(rotation.numbers)
    stop(one, number, "hello")
    marks = [f"open:sms:{index}" for index in other.seal.indexes("number", number)]
    assert other.store.facts.get(*marks) == "1"


@pytest.mark.parametrize("neighbours", [("before", "added"), ("added", "moved"), ("moved", "dropped")])
def test_processes_at_two_stages_share_everything(rotation: Rotation, neighbours: tuple[str, str]) -> None:
    """Codes, receipts, resends, idempotency keys, tokens, STOP and START work across both processes."""
    one, other = map(rotation.of, neighbours)
    for first, second in ((one, other), (other, one)):
        hand_over(rotation, first, second)
        hold_back(rotation, first, second)
        remember(rotation, first, second)


def test_the_wrong_order_would_be_seen(rotation: Rotation) -> None:
    """Processes at stages that are not neighbours do not understand each other, so the test above can fail."""
    number = next(rotation.numbers)
    stop(rotation.of("moved"), number)
    assert rotation.of("before").replies.read_suppression(number) is None
    assert rotation.of("added").replies.read_suppression(number) is not None


def test_a_person_keeps_its_subject_through_a_rotation(rotation: Rotation) -> None:
    """Apps know a person by `sub`, which a rotation must not change."""
    number = next(rotation.numbers)
    found = {name: rotation.of(name).seal.subject("web", number) for name in STAGES}
    assert len(set(found.values())) == 1


# What outlives a rotation.


def renewed(core: Core) -> Tally:
    """Renew the suppression list."""
    return rekey(core.seal, record_kinds(core.store.suppressions, core.store.pins)[0])


def test_a_stop_outlives_its_keys(rotation: Rotation, valkey: ValkeyServer) -> None:
    """It is written with old keys and renewed with new ones. Then the old ones can go, and its time to live stays."""
    before, moved = rotation.of("before"), rotation.of("moved")
    stopped = [next(rotation.numbers) for _ in range(20)]
    for number in stopped:
        stop(before, number)
    assert renewed(moved) == Tally(renewed=20)
    assert renewed(moved) == Tally(current=20)
    dropped = rotation.of("dropped")
    assert renewed(dropped) == Tally(current=20)
    for number in stopped:
        why = dropped.replies.read_suppression(number)
        assert why is not None
        assert why["by"] == "the person"
        assert before.replies.read_suppression(number) is None
    with valkey.client() as client:
        keys = client.keys(f"{{{prefix_of(before.store)}:guard}}:x:*")
        left = [client.pttl(key) for key in keys]
    assert len(left) == 20
    assert min(left) > 9 * 365 * 86_400_000


@pytest.mark.parametrize("ring", ["number_keys", "lookup_keys"])
def test_one_ring_alone_can_be_renewed(rotation: Rotation, ring: str) -> None:
    """A record can keep its name and be sealed again, or keep its seal and get another name."""
    number = next(rotation.numbers)
    stop(rotation.of("before"), number)
    keys = {name: {"old": KEYS[name]["old"]} for name in RINGS}
    keys[ring] = {key_id: KEYS[ring][key_id] for key_id in ("new", "old")}
    core = rotation.cores["half"] = open_core(rotation.valkey, rotation.text, **{**rotation.shared, **keys})
    assert renewed(core) == Tally(renewed=1)
    keys[ring] = {"new": KEYS[ring]["new"]}
    core = rotation.cores["whole"] = open_core(rotation.valkey, rotation.text, **{**rotation.shared, **keys})
    assert renewed(core) == Tally(current=1)
    assert core.replies.read_suppression(number) is not None


def test_renewing_is_interrupted_and_repeated(rotation: Rotation) -> None:
    """What was renewed stays so, and the rest is found again. Nobody who wrote STOP gets messages meanwhile."""
    before, moved = rotation.of("before"), rotation.of("moved")
    stopped = [next(rotation.numbers) for _ in range(5)]
    for number in stopped:
        stop(before, number)
    kind = record_kinds(moved.store.suppressions, moved.store.pins)[0]
    records = [row for batch in kind.all() for row in batch]
    name, record = records[0]
    number = moved.seal.open(record["sealed"], name)
    new = kind.named(moved.seal, number)
    anew = {**record, "sealed": moved.seal.close(number, new)}
    for _ in range(2):  # as after a lost reply
        assert kind.rename(name, record, new, anew)
    assert all(moved.replies.read_suppression(one) for one in stopped)
    assert renewed(moved) == Tally(current=1, renewed=4)


def test_what_is_met_again_under_its_new_name_counts_once(rotation: Rotation) -> None:
    """A walk through the store may meet a record that was written meanwhile."""
    before, moved = rotation.of("before"), rotation.of("moved")
    for number in (next(rotation.numbers), next(rotation.numbers)):
        stop(before, number)
    kind = record_kinds(moved.store.suppressions, moved.store.pins)[0]
    twice = replace(kind, all=lambda: chain(kind.all(), kind.all()))
    assert rekey(moved.seal, twice) == Tally(renewed=2)


def test_a_stop_that_is_lifted_meanwhile_stays_lifted(rotation: Rotation) -> None:
    """A record read before START is not written after it, and a new STOP is not overwritten."""
    before, moved = rotation.of("before"), rotation.of("moved")
    lifted, again = next(rotation.numbers), next(rotation.numbers)
    for number in (lifted, again):
        stop(before, number)
    kind = record_kinds(moved.store.suppressions, moved.store.pins)[0]
    seen_before = [row for batch in kind.all() for row in batch]
    stop(moved, lifted, "START")
    stop(moved, again)
    newest = moved.replies.read_suppression(again)
    assert rekey(moved.seal, replace(kind, all=lambda: iter([seen_before]))) == Tally(renewed=1)
    assert moved.replies.read_suppression(lifted) is None
    assert moved.replies.read_suppression(again) == newest
    assert renewed(moved) == Tally(current=1)


def test_what_cannot_be_renewed_is_counted(rotation: Rotation) -> None:
    """Records of forgotten numbers and records sealed with a lost key stay as they are, and still hold."""
    before, moved, dropped = (rotation.of(name) for name in ("before", "moved", "dropped"))
    bare, lost = next(rotation.numbers), next(rotation.numbers)
    stop(before, bare)
    before.erasure.forget(bare, by="a test")
    stop(before, lost)
    assert renewed(dropped) == Tally(nameless=1, unreadable=1)
    assert renewed(moved) == Tally(nameless=1, renewed=1)
    assert moved.replies.read_suppression(bare) is not None
    moved.erasure.forget(bare, by="a test")  # whoever names the number can renew it
    assert renewed(dropped) == Tally(current=2)


def test_a_pin_outlives_its_keys(rotation: Rotation) -> None:
    """A pin on a number is renewed like a STOP. Pins on prefixes and addresses need no key."""
    before, moved, dropped = (rotation.of(name) for name in ("before", "moved", "dropped"))
    number = next(rotation.numbers)
    name = f"number {before.seal.index('number', number)}"
    pin = {"what": "refuse", "until": None}
    before.store.pins.write(name, pin | {"sealed": before.seal.close(number, name)})
    before.store.pins.write("prefix +4479", pin)
    kind = record_kinds(moved.store.suppressions, moved.store.pins)[1]
    assert rekey(moved.seal, kind) == Tally(renewed=1)
    assert rekey(moved.seal, kind) == Tally(current=1)
    found = moved.store.pins.read_all()
    new = f"number {dropped.seal.index('number', number)}"
    assert set(found) == {new, "prefix +4479"}
    assert dropped.seal.open(found[new]["sealed"], new) == number
    assert not kind.rename(name, pin, new, pin)
    assert kind.rename(new, found[new], new, found[new])  # as after a lost reply
    moved.history.erase(number)
    assert set(moved.store.pins.read_all()) == {"prefix +4479"}
