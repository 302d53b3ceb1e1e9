"""Issued keys on a real server: their life, their ends, and how a process follows them without asking."""

import json
import logging
import math
import secrets
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.access import api_keys
from otp_service.access.api_keys import PREFIXES, digest
from otp_service.access.keyring import KEEP_ENDED, OVERLAP, USES_PAUSE, Key, Keyring, LiveKeys
from otp_service.errors import KeyConflict, NotFound, StoreUnavailable
from otp_service.store.polling import POLL_EVERY
from otp_service.store.scripts import Scripts
from tests.support.deployments import Cluster
from tests.support.fault_proxy import FaultProxy
from tests.support.patience import until
from tests.support.spine import PatientScripts, proxied_store, together
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import scripts_at

CROWD = 20
DAY = 24 * 3600


@pytest.fixture
def ring(valkey: ValkeyServer) -> Iterator[Keyring]:
    """Give an empty ring."""
    scripts = PatientScripts(valkey, CROWD)
    yield Keyring(scripts, prefix=f"t{secrets.token_hex(6)}")
    scripts.close()


class Clock:
    """A process's own clock, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def issued(ring: Keyring, lifetime: int | None = None, kind: str = "secret") -> tuple[str, Key]:
    """Issue a key for the app web."""
    return ring.issue(kind, "web", by="anna", label="a test", lifetime=lifetime)


def later(ring: Keyring, seconds: float) -> None:
    """Move the store's clock."""
    ring._scripts.offset += int(seconds * 1000)  # noqa: SLF001 - the store's clock


def living(ring: Keyring) -> list[str]:
    """List the ids of the valid keys."""
    now, found = ring.read_all()
    return [key.id for key in found if key.is_live(now)]


def stored(valkey: ValkeyServer, ring: Keyring) -> dict[str, str]:
    """Return everything that is stored."""
    with valkey.client() as client:
        kept: dict[str, str] = client.hgetall(ring._key)  # noqa: SLF001 - behind its back
    return kept


# The life of a key.


@pytest.mark.parametrize(("kind", "prefix"), [("publishable", "pk_"), ("secret", "sk_"), ("ops", "ops_")])
def test_a_key_is_shown_once_and_kept_as_a_hash(
    ring: Keyring, valkey: ValkeyServer, kind: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its 192 random bits are neither in the store nor in the log. Its hash is in the store."""
    with caplog.at_level(logging.INFO):
        key, record = ring.issue(kind, "web", by="anna", role="read", label="a test")
    assert key.startswith(prefix)
    assert len(key) == len(prefix) + 32
    assert record.digest == digest(key)
    kept = json.dumps(stored(valkey, ring))
    assert digest(key) in kept
    for secret in (key, key.partition("_")[2]):
        assert secret not in kept
        assert secret not in str([vars(line) for line in caplog.records])
    assert digest(key) not in str([vars(line) for line in caplog.records])
    assert (record.owner, record.by, record.role, record.label) == ("web", "anna", "read", "a test")
    assert (record.expires, record.used, record.replaced_by, record.line) == (None, None, "", record.id)
    assert record.created > 1_600_000_000_000
    assert ring.read_key(record.id) == record


def test_times_are_those_of_the_stores_clock(ring: Keyring) -> None:
    """Also with the clock of a test, a day ahead."""
    before = ring.read_all()[0]
    later(ring, DAY)
    assert issued(ring)[1].created >= before + DAY * 1000


def test_the_ring_holds_a_bounded_number_of_keys(ring: Keyring, valkey: ValkeyServer) -> None:
    """Whoever may read the keys reads them all. Only valid keys fill the ring: the one that ended first makes room.

    A refusal changes nothing, and says what to do.
    """
    small = Keyring(ring._scripts, prefix=ring._key.removesuffix(":keys"), most=3)  # noqa: SLF001
    records = [issued(small)[1] for _ in range(3)]
    told = r"3 issued keys are valid, and no more may be\. Revoke"
    with pytest.raises(KeyConflict, match=told):
        issued(small)
    with pytest.raises(KeyConflict, match=told):
        small.rotate(records[0].id, by="ben", reason="a test")
    assert set(small.read_all()[1]) == set(records)
    for place in (1, 2):
        small.revoke(records[place].id, by="ben", reason="a test")
        later(ring, 1)
    small.record_uses({records[1].id: 5})
    added = issued(small)[1]
    assert {key.id for key in small.read_all()[1]} == {records[0].id, records[2].id, added.id}
    successor = small.rotate(records[0].id, by="ben", reason="a test")[1]
    assert {key.id for key in small.read_all()[1]} == {records[0].id, added.id, successor.id}
    assert not [name for name in stored(valkey, ring) if name.startswith("u:")]


def test_a_key_that_has_not_ended_makes_no_room(ring: Keyring) -> None:
    """Though its end is set. When it comes, it does."""
    small = Keyring(ring._scripts, prefix=ring._key.removesuffix(":keys"), most=1)  # noqa: SLF001
    first = issued(small, lifetime=DAY)[1]
    with pytest.raises(KeyConflict):
        issued(small)
    later(ring, DAY)
    assert small.read_all()[1] == (first,)
    assert [issued(small)[1]] == list(small.read_all()[1])


def test_every_change_is_logged_with_its_author_and_reason(
    ring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    """The log is the audit trail: one line for each change, none for a refusal."""
    with caplog.at_level(logging.INFO):
        _, first = issued(ring)
        _, second = ring.rotate(first.id, by="ben", reason="a quarter is over", overlap=60)
        ring.revoke(first.id, by="carl", reason="found in a repository")
        with pytest.raises(KeyConflict):
            ring.revoke(first.id, by="dora", reason="again")
    told = [(line.getMessage(), vars(line)["fields"]) for line in caplog.records]
    assert [(what, fields["key_id"], fields["by"], fields["why"]) for what, fields in told] == [
        ("key.issued", first.id, "anna", "a test"),
        ("key.rotated", first.id, "ben", "a quarter is over"),
        ("key.revoked", first.id, "carl", "found in a repository"),
    ]
    assert told[1][1]["successor"] == second.id


def test_a_successor_has_the_same_owner_and_the_rotated_key_ends_later(ring: Keyring) -> None:
    """Kind, owner, role, limit and label are copied. The rotated key ends after the overlap, a day by default."""
    key, first = ring.issue(
        "ops", "ben", by="anna", role="operate", limited_to=["web", "shop"], label="laptop"
    )
    later(ring, 1)  # keys stand in the order in which they were made
    fresh, second = ring.rotate(first.id, by="anna", reason="r")
    assert fresh != key
    assert (second.kind, second.owner, second.role, second.label) == ("ops", "ben", "operate", "laptop")
    assert second.apps == first.apps == ("shop", "web")
    assert (second.line, second.expires) == (first.id, None)
    before = ring.read_key(first.id)
    assert (before.replaced_by, before.expires) == (second.id, second.created + OVERLAP * 1000)
    assert (before.ended_by, before.ended_why) == ("anna", "r")
    later(ring, OVERLAP - 3600)
    assert living(ring) == [first.id, second.id]
    later(ring, 3600)
    assert living(ring) == [second.id]


def test_at_most_two_keys_of_a_line_are_valid(ring: Keyring) -> None:
    """Neither of two valid keys can be rotated. Revoking one makes room."""
    _, first = issued(ring)
    _, second = ring.rotate(first.id, by="anna", reason="r")
    for one, other in ((first, second), (second, first)):
        with pytest.raises(KeyConflict, match=other.id):
            ring.rotate(one.id, by="anna", reason="r")
    ring.revoke(first.id, by="anna", reason="r")
    _, third = ring.rotate(second.id, by="anna", reason="r")
    assert living(ring) == [second.id, third.id]
    assert third.line == first.id
    _, stranger = issued(ring)
    ring.rotate(stranger.id, by="anna", reason="another line is another matter")


@given(
    lifetime=st.none() | st.integers(100, 10 * DAY),
    age=st.integers(0, 9),
    overlap=st.integers(0, 10 * DAY),
    after=st.none() | st.integers(0, DAY),
)
def test_the_earliest_end_applies(
    ends: Callable[[], Keyring], lifetime: int | None, age: int, overlap: int, after: int | None
) -> None:
    """The key's own end, the overlap's, or a revocation, in any order."""
    ring = ends()
    _, first = issued(ring, lifetime)
    later(ring, age)
    _, second = ring.rotate(first.id, by="anna", reason="r", overlap=overlap)
    promised = [second.created + overlap * 1000]
    if first.expires is not None:
        promised.append(first.expires)
    assert ring.read_key(first.id).expires == min(promised)
    if after is None:
        return
    later(ring, after)
    try:
        ended = ring.revoke(first.id, by="anna", reason="r").expires
    except KeyConflict:
        assert min(promised) <= ring.read_all()[0]
    else:
        assert ended is not None
        assert ended <= min(promised)


@pytest.fixture(scope="module")
def ends(valkey: ValkeyServer) -> Iterator[Callable[[], Keyring]]:
    """Give a function that makes empty rings, one for each example."""
    scripts = PatientScripts(valkey, 2)
    yield lambda: Keyring(scripts, prefix=f"t{secrets.token_hex(6)}")
    scripts.close()


def test_a_successor_has_the_lifetime_of_its_predecessor(ring: Keyring) -> None:
    """A key for 90 days is followed by another for 90 days, even late in its life, unless a lifetime is given."""
    _, first = issued(ring, 90 * DAY)
    later(ring, 80 * DAY)
    _, second = ring.rotate(first.id, by="anna", reason="r", overlap=0)
    assert second.expires == second.created + 90 * DAY * 1000
    _, third = ring.rotate(second.id, by="anna", reason="r", overlap=0, lifetime=DAY)
    assert third.expires == third.created + DAY * 1000


def test_an_ended_key_can_neither_be_rotated_nor_revoked(ring: Keyring) -> None:
    """An unknown key cannot either."""
    _, expired = issued(ring, 10)
    _, revoked = issued(ring)
    ring.revoke(revoked.id, by="anna", reason="r")
    later(ring, 10)
    for id_ in (expired.id, revoked.id):
        with pytest.raises(KeyConflict):
            ring.rotate(id_, by="anna", reason="r")
        with pytest.raises(KeyConflict):
            ring.revoke(id_, by="anna", reason="r")
    for act in (ring.rotate, ring.revoke):
        with pytest.raises(NotFound):
            act("0" * 10, by="anna", reason="r")
    assert living(ring) == []


def test_the_record_of_an_ended_key_is_kept_for_90_days(ring: Keyring, valkey: ValkeyServer) -> None:
    """Then it is removed with the time of its last use. Valid keys stay."""
    _, lives = issued(ring)
    _, ended = issued(ring, 10)
    ring.record_uses({ended.id: 1})
    later(ring, 10 + KEEP_ENDED / 1000 - 60)
    assert {key.id for key in ring.read_all()[1]} == {lives.id, ended.id}
    later(ring, 60)
    assert [key.id for key in ring.read_all()[1]] == [lives.id]
    assert set(stored(valkey, ring)) == {"head", f"k:{lives.id}"}


def test_of_twenty_rotations_at_once_one_succeeds(ring: Keyring) -> None:
    """The same holds for revocations."""
    _, first = issued(ring)
    found = together(CROWD, lambda _: ring.rotate(first.id, by="anna", reason="r")[1].id)
    assert sum(isinstance(one, KeyConflict) for one in found) == CROWD - 1
    assert len(living(ring)) == 2
    ended = together(CROWD, lambda _: ring.revoke(first.id, by="anna", reason="r"))
    assert sum(isinstance(one, KeyConflict) for one in ended) == CROWD - 1
    assert len(living(ring)) == 1


def test_twenty_keys_can_be_issued_at_once(ring: Keyring) -> None:
    """None is lost, and each has its own id."""
    made = together(CROWD, lambda _: issued(ring)[1].id)
    assert sorted(living(ring)) == sorted(map(str, made))
    assert len(set(made)) == CROWD


@pytest.mark.parametrize("what", ["issue", "rotate", "revoke"])
def test_a_lost_reply_changes_nothing_twice(valkey: ValkeyServer, what: str) -> None:
    """The server made the change, but the reply was lost. The repetition gets the first answer."""
    prefix = f"t{secrets.token_hex(6)}"
    plain = PatientScripts(valkey, 2)
    ring = Keyring(plain, prefix=prefix)
    _, first = issued(ring)
    with FaultProxy(valkey.socket) as proxy, proxied_store(proxy.url, prefix) as store:
        flaky = Keyring(store.scripts, prefix=prefix)
        if what == "rotate":
            flaky.read_key(first.id)
            ring_scripts = _LoseAt(proxy, store.scripts, "key_rotate")
            flaky = Keyring(ring_scripts, prefix=prefix)  # type: ignore[arg-type]  # what it uses of them
            _, second = flaky.rotate(first.id, by="anna", reason="r")
            assert living(ring) == [first.id, second.id]
        else:
            proxy.lose_reply()
            if what == "issue":
                _, second = issued(flaky)
                assert sorted(living(ring)) == sorted([first.id, second.id])
            else:
                assert flaky.revoke(first.id, by="anna", reason="r").ended_by == "anna"
                assert living(ring) == []
        assert proxy.lost == 1
    assert stored(valkey, ring)["head"] == "2"
    plain.close()


class _LoseAt:
    """Scripts of which one loses its first reply."""

    def __init__(self, proxy: FaultProxy, scripts: Scripts, name: str) -> None:
        self._proxy, self._scripts, self._name = proxy, scripts, name

    def call(self, name: str, wanted: list[str], *arguments: str | float) -> object:
        """Run a script."""
        if name == self._name:
            self._proxy.lose_reply()
        return self._scripts.call(name, wanted, *arguments)


def test_the_ring_is_in_one_slot_of_a_cluster(cluster: Cluster) -> None:
    """Every script works on a cluster, whose nodes refuse keys of different slots."""
    scripts = scripts_at(cluster.url)
    ring = Keyring(scripts, prefix=f"t{secrets.token_hex(6)}")
    _, first = issued(ring)
    ring.rotate(first.id, by="anna", reason="r")
    ring.record_uses({first.id: 5})
    ring.revoke(first.id, by="anna", reason="r")
    assert {key.used for key in ring.read_all()[1]} == {5, None}
    scripts.close()


# Following.


@pytest.fixture
def clock() -> Clock:
    """Give a clock."""
    return Clock()


@pytest.fixture
def live(ring: Keyring, clock: Clock) -> LiveKeys:
    """Give a process's view of the ring, not read yet."""
    return LiveKeys(ring, clock=clock)


def test_a_key_is_valid_until_it_is_revoked(ring: Keyring, live: LiveKeys) -> None:
    """From the first refresh after each change. An unknown key is never valid."""
    key, record = issued(ring)
    live.refresh()
    assert live.key_of(digest(key)) == record
    assert live.key_of(digest("sk_unknown")) is None
    assert live.key_of(key) is None
    ring.revoke(record.id, by="anna", reason="r")
    live.refresh()
    assert live.key_of(digest(key)) is None


def test_before_the_first_refresh_no_key_is_called_unknown(live: LiveKeys) -> None:
    """The caller is asked to try again, and is not told that the key is wrong."""
    with pytest.raises(StoreUnavailable):
        live.key_of(digest("sk_x"))


def test_a_lookup_makes_no_call_to_the_store(ring: Keyring, clock: Clock) -> None:
    """A thousand lookups cause no round trip."""
    counted = _Counted(ring._scripts)  # noqa: SLF001 - the same connection
    live = LiveKeys(Keyring(counted, prefix=ring._key.partition(":")[0]), clock=clock)  # type: ignore[arg-type]  # noqa: SLF001
    key, _ = issued(ring)
    live.refresh()
    before = counted.calls
    assert all(live.key_of(digest(key)) for _ in range(1000))
    assert counted.calls == before


def test_a_refresh_without_a_change_reads_no_keys(ring: Keyring) -> None:
    """Following costs two numbers a second."""
    issued(ring)
    _, seen = ring.read()
    assert seen
    assert len(seen.keys) == 1
    assert ring.read(seen.head)[1] is None
    scripts = ring._scripts  # noqa: SLF001 - what came over the wire
    assert isinstance(scripts, PatientScripts)
    assert len(scripts.answer) == 2


class _Counted:
    """Scripts that count their calls."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self.calls = 0

    def call(self, name: str, wanted: list[str], *arguments: str | float) -> object:
        """Run a script."""
        self.calls += 1
        return self._scripts.call(name, wanted, *arguments)


def test_a_key_ends_by_the_stores_clock_between_two_refreshes(
    ring: Keyring, live: LiveKeys, clock: Clock
) -> None:
    """The process counts on from the last refresh; the date of its host does not matter."""
    key, record = issued(ring, 300)
    assert record.expires
    before = ring.read_all()[0]
    live.refresh()
    after = ring.read_all()[0]
    start = clock.now
    for milliseconds, lives in (
        (0, True),
        (record.expires - after - 10, True),
        (record.expires - before + 10, False),
    ):
        clock.now = start + milliseconds / 1000
        assert bool(live.key_of(digest(key))) is lives
    # the store's clock is looked at again, and says that it was not so late yet
    live.refresh()
    assert live.key_of(digest(key))
    later(ring, 300)
    live.refresh()
    assert live.key_of(digest(key)) is None


def test_a_change_is_followed_within_two_seconds(ring: Keyring) -> None:
    """A thread refreshes every second: a key is issued, then revoked."""
    live = LiveKeys(ring)
    live.follow()
    key, record = issued(ring)
    until(lambda: bool(_found(live, key)))
    ring.revoke(record.id, by="anna", reason="r")
    until(lambda: not _found(live, key))
    assert POLL_EVERY <= 1


def _found(live: LiveKeys, key: str) -> Key | None:
    try:
        return live.key_of(digest(key))
    except StoreUnavailable:
        return None


def test_the_last_use_is_recorded_at_most_once_a_minute(ring: Keyring, live: LiveKeys, clock: Clock) -> None:
    """By a refresh, in the store's time. Later uses are recorded when the minute is over."""
    key, record = issued(ring)
    live.refresh()
    assert ring.read_key(record.id).used is None
    live.key_of(digest(key))
    live.refresh()
    first = ring.read_key(record.id).used
    assert first is not None
    assert 0 <= first - record.created < 60_000
    clock.now += USES_PAUSE / 2
    live.key_of(digest(key))
    live.refresh()
    assert ring.read_key(record.id).used == first
    clock.now += USES_PAUSE / 2
    live.refresh()
    second = ring.read_key(record.id).used
    assert second is not None
    assert second >= first + USES_PAUSE / 2 * 1000


def test_a_recorded_use_never_goes_back(ring: Keyring, valkey: ValkeyServer) -> None:
    """Two processes record by turns, and the later use stays. A removed key gets no record."""
    _, record = issued(ring)
    for used in (5, 9, 7):
        ring.record_uses({record.id: used, "0" * 10: used})
    assert ring.read_key(record.id).used == 9
    assert f"u:{'0' * 10}" not in stored(valkey, ring)


def test_a_use_that_cannot_be_recorded_is_recorded_later(
    ring: Keyring, clock: Clock, valkey: ValkeyServer
) -> None:
    """While the store is away for a moment, requests go on and the use is kept."""
    key, record = issued(ring)
    scripts = _Failing(ring._scripts)  # noqa: SLF001 - the same connection
    live = LiveKeys(Keyring(scripts, prefix=ring._key.partition(":")[0]), clock=clock)  # type: ignore[arg-type]  # noqa: SLF001
    live.refresh()
    assert live.key_of(digest(key))
    scripts.away = True
    with pytest.raises(StoreUnavailable):
        live.refresh()
    assert live.key_of(digest(key)), "what was known stays so"
    scripts.away = False
    live.refresh()
    assert ring.read_key(record.id).used is not None


class _Failing:
    """Scripts of a server that is away when uses are recorded."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self.away = False

    def call(self, name: str, wanted: list[str], *arguments: str | float) -> object:
        """Run a script. Raises StoreUnavailable."""
        if self.away and name == "keys_record_uses":
            raise StoreUnavailable
        return self._scripts.call(name, wanted, *arguments)


# Times.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90s", 90), ("5m", 300), ("24h", DAY), ("90d", 90 * DAY), ("3650d", 3650 * DAY)],
)
def test_a_lifetime_is_read(text: str, seconds: int) -> None:
    """As the policy writes it, and in days."""
    assert api_keys.read_lifetime(text, shortest=0) == seconds


@pytest.mark.parametrize(
    "text", ["", "90", "d", "-1d", "1.5h", "3651d", "1w", " 1d", "1d ", "1D", "\u0661d", "9" * 10 + "s"]
)
def test_a_wrong_lifetime_is_refused(text: str) -> None:
    """So is one above ten years."""
    with pytest.raises(ValueError, match="must be a time such as"):
        api_keys.read_lifetime(text, shortest=0)


@pytest.mark.parametrize("text", ["0s", "0m", "0h", "0d", "000d"])
def test_a_lifetime_of_nothing_is_refused_where_a_key_must_live(text: str) -> None:
    """A key that ends at once would be issued for nothing; an overlap may be nothing."""
    with pytest.raises(ValueError, match="from 1s to 3650d"):
        api_keys.read_lifetime(text, shortest=1)


def test_the_end_of_the_next_key_is_reported(ring: Keyring, clock: Clock) -> None:
    """Of each kind. What was rotated or revoked may end; what has ended is past."""
    found: dict[str, float] = {}
    live = LiveKeys(ring, clock=clock, report=found.__setitem__)
    live.refresh()
    assert found == dict.fromkeys(PREFIXES, math.inf)
    issued(ring)
    issued(ring, 3 * DAY)
    issued(ring, 9 * DAY, "publishable")
    _, rotated = issued(ring, 2 * DAY)
    ring.rotate(rotated.id, by="anna", reason="r", lifetime=20 * DAY)
    ring.revoke(issued(ring, DAY)[1].id, by="anna", reason="r")
    live.refresh()
    assert found["secret"] == pytest.approx(3 * DAY, abs=60)
    assert found["publishable"] == pytest.approx(9 * DAY, abs=60)
    later(ring, 4 * DAY)
    live.refresh()
    assert found["secret"] == pytest.approx(16 * DAY, abs=60)
    assert found["ops"] == found["webhook"] == math.inf
