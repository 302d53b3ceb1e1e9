"""The stories in the store: lines by challenge, an index of names, and a list of each hour's stories.

Knows the keys and the scripts. Must not know what a line says, or which stories are dropped.

Stories are spread over the partitions of their ids. The index is a fixed number of small hashes, which take a
quarter of the memory of a key for each name. The hour in which a story began is the unit of listing and of
counting bytes.
"""

import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from otp_service.crypto.sealing import Seal
from otp_service.store.partitions import Partitions
from otp_service.store.scripts import Scripts

T = TypeVar("T")
HOUR = 3_600_000
BRIEF = 600_000
"""Milliseconds that lines are kept without the beginning of their story: its process may have died."""
MOST = 4096
"""Bytes to which a story grows."""
SPARE = 3 * HOUR
"""Milliseconds that keys outlive what is kept, so that stories are dropped before they expire."""
HEAD = 7
STORY_COST, NAME_COST = 160, 40
"""Bytes that a story and a name in the index take beside the story's lines, as measured by `history/test_memory`."""
BUCKETS = 4096
NAME_LENGTH = 8
"""Characters of a name in its bucket: 48 bits beside the 12 that choose the bucket."""
BATCH = 100


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines to append to a story. `hour` is that in which it began, "" if they do not say.

    `at` is the time (milliseconds) of what gave it `names`: stories with one name are listed in this order.
    """

    id: str
    hour: str
    text: str
    names: Sequence[str]
    at: int

    @property
    def cost(self) -> int:
        """The bytes that are counted beside the lines."""
        return (STORY_COST if self.hour else 0) + NAME_COST * len(self.names)


class StoryStore:
    """All stories. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, partitions: Partitions, *, keep: int) -> None:
        """`keep` is how long stories are kept after their last line (milliseconds)."""
        self._scripts = scripts
        self._partitions = partitions
        self._life = keep + SPARE

    # For the writer.

    def refused_id(self, seal: Seal, request_id: str) -> str:
        """Return the id of the story of a send that opened no challenge: always the same for one request."""
        return self._partitions.home(request_id) + seal.index("refused story", request_id)

    def write(self, batch: Sequence[Lines]) -> None:
        """Append lines, list the stories that begin with them, and add their names. May be repeated."""
        for group in self._together(batch, lambda lines: self._story(lines.id)):
            keys = [key for lines in group for key in self._counted(lines.id)]
            parts = [part for lines in group for part in (lines.hour, lines.text, lines.cost)]
            self._scripts.call("write_stories", keys, self._life, BRIEF, MOST, *parts)
        for hour in sorted({lines.hour for lines in batch if lines.hour}):
            ids = [lines.id for lines in batch if lines.hour == hour]
            self._scripts.call("list_stories", [self._list(hour)], self._life, *ids)
        named = [(name, lines) for lines in batch for name in lines.names]
        for entries in self._together(named, lambda one: self._bucket(one[0])):
            keys = [self._bucket(name) for name, _ in entries]
            parts = [part for name, lines in entries for part in (_prefix(name) + lines.id, lines.at)]
            self._scripts.call("index_stories", keys, self._life, *parts)

    def put_tokens(self, ids: Mapping[str, str], seconds: int) -> None:
        """Store for so long which challenge each token proves, by the token's name. May be repeated."""
        for names in self._together(list(ids), self._token):
            keys = [self._token(name) for name in names]
            self._scripts.call("put_tokens", keys, seconds * 1000, *(ids[name] for name in names))

    def id_of_token(self, names: Iterable[str]) -> str | None:
        """Return the challenge that a token proves, by any of its names."""
        return self._scripts.first(map(self._token, names))

    # For readers.

    def read(self, ids: Sequence[str], wanted: Sequence[Sequence[str]] = ()) -> dict[str, str]:
        """Return the kind and the lines of stories, of those that exist: "c", "r" or "x", then the lines.

        Of a story that does not contain a text of each of the lists in `wanted`, only the beginning is returned.
        """
        texts = self._each("read_stories", [self._story(id_) for id_ in ids], json.dumps(wanted))
        return {id_: text[0] + text[HEAD:] for id_, text in zip(ids, texts, strict=True) if text}

    def search_names(self, names: Iterable[str]) -> list[str]:
        """List the ids of stories with any of these names, that which got its name last first."""
        times: dict[str, int] = {}
        for name in names:
            found = self._scripts.call("find_stories", [self._bucket(name)], _prefix(name))
            for field, at in zip(found[::2], found[1::2], strict=True):
                id_ = field[NAME_LENGTH:]
                times[id_] = max(times.get(id_, 0), int(at))
        return sorted(times, key=lambda id_: (-times[id_], id_))

    def read_hour(self, hour: str, first: int, last: int) -> list[str]:
        """Read ids from the list of an hour, by their places from the beginning, or from the end if negative."""
        ids: list[str] = self._scripts.call("read_list", [self._list(hour)], first, last)
        return ids

    def count_hours(self, hours: Sequence[str]) -> list[int]:
        """Count the ids that are listed in each hour."""
        return self._each("count_lists", [self._list(hour) for hour in hours])

    def count_bytes(self) -> dict[str, int]:
        """Return the bytes that are counted for each hour."""
        keys = [self._bytes(partition) for partition in self._partitions.names()]
        total: defaultdict[str, int] = defaultdict(int)
        for counted in self._each("count_bytes", keys):
            for hour, size in zip(counted[::2], counted[1::2], strict=True):
                total[hour] += int(size)
        return dict(total)

    # For dropping.

    def drop(self, stories: Mapping[str, Sequence[str]]) -> int:
        """Drop stories, each with its names. Return how many there were."""
        named = [(name, id_) for id_, names in stories.items() for name in names]
        for entries in self._together(named, lambda one: self._bucket(one[0])):
            keys = [self._bucket(name) for name, _ in entries]
            self._scripts.call("unindex_stories", keys, *(_prefix(name) + id_ for name, id_ in entries))
        dropped = 0
        for ids in self._together(list(stories), self._story):
            keys = [key for id_ in ids for key in self._counted(id_)]
            costs = [STORY_COST + NAME_COST * len(stories[id_]) for id_ in ids]
            dropped += self._scripts.call("drop_stories", keys, *costs)
        return dropped

    def unlist(self, hour: str, ids: Sequence[str]) -> int:
        """Take ids off the beginning of an hour's list. Return how many are left; the last ends the hour's count."""
        left: int = self._scripts.call("unlist_stories", [self._list(hour)], *ids)
        if not left:
            keys = [self._bytes(partition) for partition in self._partitions.names()]
            for group in self._together(keys, str):
                self._scripts.call("close_hour", group, hour)
        return left

    def erase(self, stories: Mapping[str, Sequence[str]]) -> int:
        """Drop stories, each with its names, and remove their ids from all lists. Return how many there were."""
        heads = self._each("read_stories", [self._story(id_) for id_ in stories], "[]")
        for id_, text in zip(stories, heads, strict=True):
            self._scripts.call("erase_listed", [self._list(text[:HEAD])], id_)
        for batch in self._scripts.walk(self._token("*"), "walk"):
            self._scripts.delete(key for key, value in batch if value in stories)
        return self.drop(stories)

    def _each(self, script: str, keys: Sequence[str], *arguments: str) -> list[Any]:
        """Run a script that answers for each of its keys."""
        answers: dict[str, Any] = {}
        for group in self._together(keys, str):
            answers |= zip(group, self._scripts.call(script, group, *arguments), strict=True)
        return [answers[key] for key in keys]

    def _together(self, items: Sequence[T], key: Callable[[T], str]) -> Iterator[list[T]]:
        """Group items with keys that one call can take: any keys at a single server, those of a slot in a cluster."""
        groups: defaultdict[str, list[T]] = defaultdict(list)
        for item in items:
            name = key(item)
            groups[name.partition("}")[0] if self._scripts.holder_of(name) else ""].append(item)
        for group in groups.values():
            for first in range(0, len(group), BATCH):
                yield group[first : first + BATCH]

    def _counted(self, id_: str) -> tuple[str, str]:
        """Name the keys of a story: of the bytes of its partition, and its own."""
        return self._bytes(id_[:2]), self._story(id_)

    def _bytes(self, partition: str) -> str:
        return self._partitions.key(partition, "hb")

    def _story(self, id_: str) -> str:
        return self._partitions.key_of(id_, "h")

    def _token(self, name: str) -> str:
        return f"{self._partitions.prefix}:ht:{name}"

    def _list(self, hour: str) -> str:
        return self._partitions.key(self._partitions.home(hour), f"hl:{hour}")

    def _bucket(self, name: str) -> str:
        return self._partitions.key(self._bucket_partition(name), f"hx:{_place(name):x}")

    def _bucket_partition(self, name: str) -> str:
        return self._partitions.home(f"{_place(name):x}")


def hour_of(kind: str, at: int) -> str:
    """Name the hour of a time: `kind` is "c" for challenges, "r" for refused sends."""
    return f"{kind}{at // HOUR:06d}"


def _place(name: str) -> int:
    return zlib.crc32(name.encode()) % BUCKETS


def _prefix(name: str) -> str:
    return name[:NAME_LENGTH]
