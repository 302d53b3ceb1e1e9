"""The stories in the store: sizes, times to live, and what a batch may hold; also in a cluster."""

import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest

from otp_service.history.store import BATCH, BRIEF, MOST, Lines, StoryStore
from otp_service.store.partitions import Partitions
from tests.support.deployments import Cluster
from tests.support.patience import PATIENT_LIMITS
from tests.support.spine import PatientScripts
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import scripts_at

HOUR = "c482000"
KEEP = 3_600_000


@pytest.fixture
def stories(valkey: ValkeyServer) -> Iterator[StoryStore]:
    """Give stories with keys of their own."""
    scripts = PatientScripts(valkey, 2)
    yield StoryStore(scripts, Partitions(f"t{secrets.token_hex(6)}", 4), keep=KEEP)
    scripts.close()


def many(count: int, hour: str = HOUR) -> list[Lines]:
    """Make the beginnings of stories, each with a name of its own and one that all share."""
    return [
        Lines(f"0{place % 4}{place:022d}", hour, "a|1|Aweb\n", [secrets.token_urlsafe(16), "s" * 22], place)
        for place in range(count)
    ]


def lives(stories: StoryStore, valkey: ValkeyServer, id_: str) -> int:
    """Return the milliseconds that a story has left."""
    with valkey.client() as client:
        return int(client.pttl(stories._story(id_)))  # noqa: SLF001 - the key


def test_a_batch_of_any_size_is_written_found_and_dropped(stories: StoryStore) -> None:
    """More than one call takes; each story has its own lines, and all are found by the name that they share."""
    batch = many(2 * BATCH + 1)
    stories.write(batch)
    ids = [lines.id for lines in batch]
    assert stories.read(ids) == {lines.id: "c" + lines.text for lines in batch}
    assert set(stories.search_names(["s" * 22])) == set(ids)
    assert stories.search_names(batch[7].names[:1]) == [ids[7]]
    assert stories.count_hours([HOUR, "c482001"]) == [len(ids), 0]
    assert stories.count_bytes() == {HOUR: sum(len(one.text) + one.cost for one in batch)}
    assert stories.drop({lines.id: lines.names for lines in batch[1:]}) == 2 * BATCH
    assert stories.search_names(["s" * 22]) == ids[:1]
    assert stories.count_bytes() == {HOUR: len(batch[0].text) + batch[0].cost}
    assert stories.unlist(HOUR, ids) == 0
    assert stories.count_bytes() == {}


def test_of_a_story_that_lacks_what_is_wanted_only_the_beginning_is_read(stories: StoryStore) -> None:
    """It contains one of each list; what looks like a pattern is none."""
    lines = {"a": "a|kk|Aweb|CUS\n", "b": "a|kk|Aweb|CIN|w%d+\n", "c": "a|kk|Ashop|CIN\n"}
    ids = {name: f"00{place:022d}" for place, name in enumerate(lines)}
    long = "z" * 50
    stories.write([Lines(ids[name], HOUR, lines[name] + long, [], 0) for name in lines])

    def whole(*wanted: list[str]) -> str:
        found = stories.read([*ids.values(), "0" * 24], wanted)
        assert all(text.startswith("ca|kk|") for text in found.values())
        return "".join(name for name in lines if found[ids[name]].endswith(long))

    assert whole() == "abc"
    assert whole(["|Aweb"]) == "ab"
    assert whole(["|Aweb"], ["|CIN"]) == "b"
    assert whole(["|Aweb", "|Ashop"]) == "abc"
    assert whole(["|Ashop", "|Aweb"], ["|CUS", "|CIN"]) == "abc"
    assert whole(["|w%d+"]) == "b"
    assert whole(["|w%d"], ["|AWEB"]) == ""


def test_what_was_named_last_is_found_first(stories: StoryStore) -> None:
    """By the millisecond of what gave a name, not by the id, nor by when it was written."""
    batch = [replace(one, at=at) for at, one in zip((5, 7, 6), many(3), strict=True)]
    stories.write(batch)
    assert stories.search_names(["s" * 22]) == [batch[place].id for place in (1, 2, 0)]


def test_a_story_that_is_dropped_twice_is_taken_off_the_count_once(stories: StoryStore) -> None:
    """Two processes may drop the same ones."""
    batch = many(8)
    stories.write(batch)
    gone = {batch[0].id: batch[0].names}
    assert (stories.drop(gone), stories.drop(gone)) == (1, 0)
    assert stories.count_bytes() == {HOUR: sum(len(one.text) + one.cost for one in batch[1:])}


def test_the_same_in_a_cluster(cluster: Cluster) -> None:
    """Keys of several slots are asked for apart."""
    scripts = scripts_at(cluster.url, connections=4, limits=PATIENT_LIMITS)
    stories = StoryStore(scripts, Partitions(f"t{secrets.token_hex(6)}", 16), keep=KEEP)
    scripts.bounded(lambda client: client.ping(), "ping")
    test_a_batch_of_any_size_is_written_found_and_dropped(stories)
    scripts.close()


def test_a_story_has_a_longest_size(stories: StoryStore) -> None:
    """Lines that do not fit any more are left out."""
    (begin,) = many(1)
    stories.write([begin])
    for place in range(MOST // 39 + 1):
        stories.write([Lines(begin.id, "", f"g|{place:036d}\n", [], 0)])
    text = stories.read([begin.id])[begin.id]
    assert MOST - 50 < len(text) < MOST


def test_lines_without_their_beginning_are_kept_for_a_short_time(
    stories: StoryStore, valkey: ValkeyServer
) -> None:
    """They count once it has come, and are kept from then on."""
    (begin,) = many(1)
    later = Lines(begin.id, "", "s|2|csms\n", [], 0)
    stories.write([later])
    assert stories.read([begin.id]) == {begin.id: "xs|2|csms\n"}
    assert 0 < lives(stories, valkey, begin.id) <= BRIEF
    assert stories.count_bytes() == {}
    stories.write([begin])
    assert stories.read([begin.id]) == {begin.id: "c" + later.text + begin.text}
    assert lives(stories, valkey, begin.id) > BRIEF
    assert stories.count_bytes() == {HOUR: len(later.text + begin.text) + begin.cost}


def test_an_id_leaves_a_list_only_from_its_beginning(stories: StoryStore) -> None:
    """So that a repeated call takes none that was not named."""
    ids = [lines.id for lines in many(4)]
    stories.write(many(4))
    assert stories.unlist(HOUR, [ids[0], ids[2]]) == 3
    assert stories.read_hour(HOUR, 0, -1) == ids[1:]


def test_an_erased_story_leaves_its_list_and_its_token(stories: StoryStore) -> None:
    """The others stay in it."""
    batch = many(3)
    stories.write(batch)
    stories.put_tokens({"t" * 22: batch[1].id, "u" * 22: batch[2].id}, 60)
    assert stories.erase({batch[1].id: batch[1].names}) == 1
    assert stories.read_hour(HOUR, 0, -1) == [batch[0].id, batch[2].id]
    assert stories.id_of_token(["t" * 22]) is None
    assert stories.id_of_token(["u" * 22]) == batch[2].id
