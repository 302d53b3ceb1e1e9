"""The counters of figures on a real server: exact, once for each batch, bounded, and gone in time."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from otp_service.errors import StoreUnavailable
from otp_service.figures.cells import OTHERS, Cell
from otp_service.figures.counters import Counters
from otp_service.figures.periods import DAY, HOUR, KEPT, Span, last_days, span
from otp_service.figures.summary import summarise
from otp_service.history.note import Note, What
from otp_service.store.scripts import SCAN_COUNT, Scripts
from tests.figures.scripted import COUNTRIES, Script
from tests.support.spine import PatientScripts
from tests.support.valkey_server import ValkeyServer

NOON = 20_000 * DAY + 12 * HOUR
SENT = Note(
    what=What.SENT, at=NOON, app="web", country="IN", channel="sms", account="main", route="r", place=0
)


@pytest.fixture
def scripts(valkey: ValkeyServer) -> Iterator[Scripts]:
    """Give scripts on a real server."""
    made = PatientScripts(valkey, 2)
    yield made
    made.close()


@pytest.fixture
def make(scripts: Scripts) -> Callable[..., Counters]:
    """Give counters of one more process on the same keys."""
    prefix = f"t{secrets.token_hex(6)}"
    return lambda over=scripts, **limits: Counters(over, prefix=prefix, **limits)


def total(counters: Counters, hours: Span) -> Counter[str]:
    """Return the sum of what was counted, by what it is."""
    sums: Counter[str] = Counter()
    for _, cell, count in counters.read(hours):
        sums[cell.what] += count
    return sums


def test_ten_thousand_journeys_of_four_processes_give_exact_counts(make: Callable[..., Counters]) -> None:
    """Over eight hours of two days, written at the same time in batches of any size."""
    start = 20_000 * DAY - 4 * HOUR
    now = start + 8 * HOUR + 400_000
    scripted = [Script(Random(seed)) for seed in range(4)]

    def work(script: Script) -> None:
        counters = make()
        notes: list[Note] = []
        for _ in range(2500):
            notes += script.journey(start + script.dice.randrange(8 * HOUR))
            if script.dice.random() < 0.01:
                counters.take(notes)
                notes = []
        counters.take(notes)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, scripted))
    expected: Counter[str] = Counter()
    known: dict[str, Counter[tuple[str, str]]] = {
        "country": Counter(),
        "channel": Counter(),
        "route": Counter(),
    }
    for script in scripted:
        expected += script.expected
        for by, counts in known.items():
            counts.update(getattr(script, f"by_{by}"))
    assert expected["asked"] == 10_000
    assert expected["let_in"] == expected["verified"] + expected["ended"] > expected["reached"] > 0
    assert {country for what, country in known["country"] if what == "ended"} == set(COUNTRIES)
    reader = make()
    for hours in (span(now, start, now), last_days(now, 2)):
        for by, counts in known.items():
            rows, whole = summarise(reader.read(hours), [by], {}, most=100)
            assert {what: whole[what] for what in expected} == dict(expected)
            assert {(what, row[by]): row[what] for row in rows for what in expected if row[what]} == counts
            assert whole["money"] == 0.25 * expected["sent"]


def test_a_batch_that_runs_twice_counts_once(make: Callable[..., Counters], scripts: Scripts) -> None:
    """The reply was lost, and the wrapper tried again; or it gave up, and the next second writes the same batch."""

    class Lossy:
        """Runs each script twice, and loses the last answer until told otherwise."""

        lost = True

        def call(self, *arguments: Any) -> Any:  # noqa: ANN401 - as Scripts.call
            scripts.call(*arguments)
            answer = scripts.call(*arguments)
            if self.lost:
                raise StoreUnavailable(retry_after=1)
            return answer

    lossy = Lossy()
    counters = make(lossy)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            counters.take([SENT])
    lossy.lost = False
    counters.take([SENT])
    counters.take([SENT])
    assert total(make(), span(NOON, NOON, NOON + 1)) == {"sent": 4}


def test_what_could_not_be_written_is_written_later_and_is_bounded(
    make: Callable[..., Counters], scripts: Scripts
) -> None:
    """While the store is away a process remembers each count, and tells apart only so many names."""

    class Away:
        """Does not answer."""

        def call(self, *_: object) -> None:
            raise StoreUnavailable(retry_after=1)

    counters = make(Away(), most=3)
    for place in range(8):
        with pytest.raises(StoreUnavailable):
            counters.take([replace(SENT, app=f"app{place}")])
    counters._scripts = scripts  # noqa: SLF001 - the store is back
    counters.take([])
    found = {cell.app: count for _, cell, count in make().read(span(NOON, NOON, NOON + 1))}
    assert sum(found.values()) == 8
    assert found[OTHERS] >= 3


@pytest.mark.parametrize("batches", ["a b c d a", "abcda", "a bc da"])
def test_names_beyond_the_most_are_counted_together(make: Callable[..., Counters], batches: str) -> None:
    """What is counted and why stay; all else is a star. A name that is known keeps its own counter."""
    counters = make(most=2)
    for apps in batches.split():
        counters.take([replace(SENT, app=app) for app in apps])
    counters.take([replace(SENT, what=What.REFUSED, app="e", reason="number_limit", rule="number")])
    cells = {cell: count for _, cell, count in make().read(span(NOON, NOON, NOON + 1))}
    assert {cell.app: count for cell, count in cells.items() if cell.what == "sent"} == {
        "a": 2,
        "b": 1,
        OTHERS: 2,
    }
    assert cells[Cell("refused", "number", *[OTHERS] * 6)] == 1
    assert len(cells) == 4


@pytest.mark.parametrize("unit", ["hour", "day"])
def test_an_hour_or_day_ends_to_the_millisecond(unit: str, make: Callable[..., Counters]) -> None:
    """By the time of the note, not of the write; what ends later is counted later."""
    length = {"hour": HOUR, "day": DAY}[unit]
    edge = NOON // length * length
    counters = make()
    counters.take([replace(SENT, at=edge - 1), replace(SENT, at=edge), replace(SENT, at=edge + length - 1)])
    read = [
        total(counters, Span(unit, edge + place * length, edge + (place + 1) * length))["sent"]  # type: ignore[arg-type]
        for place in (-2, -1, 0, 1)
    ]
    assert read == [0, 1, 2, 0]


def test_counters_expire_after_they_can_be_read(make: Callable[..., Counters], valkey: ValkeyServer) -> None:
    """No key is kept for ever, nor holds anything of a person."""
    counters = make()
    counters.take([replace(SENT, number="+919876543210", reference="anna", origin="https://a.example")])
    with valkey.client() as client:
        keys = sorted(client.scan_iter(f"*{counters._prefix}*", count=10_000))  # noqa: SLF001
        kept = {key: client.pttl(key) for key in keys}
        names = [name for key in keys if client.type(key) in {b"hash", "hash"} for name in client.hkeys(key)]
    assert len(keys) == 4
    for key, left in kept.items():
        text = key.decode() if isinstance(key, bytes) else key
        writer = text.count(":") == 3
        longest = DAY if writer else (KEPT["day"] + 1) * DAY if ":day" in text else (KEPT["hour"] + 1) * HOUR
        assert longest - 60_000 < left <= longest
    assert not any("9876" in str(name) or "anna" in str(name) or "example" in str(name) for name in names)


def test_many_names_are_written_and_read_in_steps(make: Callable[..., Counters], scripts: Scripts) -> None:
    """No step is large, so that the store answers others in between."""
    sizes: list[int] = []

    class Pages:
        """The scripts, with the size of each step."""

        def call(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401 - as Scripts.call
            answer = scripts.call(name, *arguments)
            sizes.append(len(answer[1]) // 2 if name == "read_hash_page" else (len(arguments) - 5) // 2)
            return answer

    counters = make(Pages())
    counters.take([replace(SENT, app=f"app{place}") for place in range(3 * SCAN_COUNT)])
    assert total(counters, span(NOON, NOON, NOON + 1)) == {"sent": 3 * SCAN_COUNT}
    assert max(sizes) < 2 * SCAN_COUNT
