"""Drops stories with the names that lead to them.

Knows that the names follow from a story itself. Must not know why a story is dropped.
"""

from collections.abc import Iterable

from otp_service.crypto.sealing import Seal, Unsealable
from otp_service.history.names import every_name_of, names_like
from otp_service.history.store import StoryStore
from otp_service.history.story import Story, read_story


class Dropper:
    """Drops stories. Its methods raise StoreUnavailable."""

    def __init__(self, stories: StoryStore, seal: Seal) -> None:
        self._stories = stories
        self._seal = seal

    def drop(self, ids: Iterable[str]) -> int:
        """Drop stories. Return how many there were."""
        return self._stories.drop(self._with_names(ids))

    def erase_number(self, e164: str, challenges: Iterable[str]) -> int:
        """Erase the stories of a number, and those of `challenges`. Return how many there were."""
        ids = {*self._stories.search_names(names_like(self._seal, "number", e164)), *challenges}
        return self._stories.erase(self._with_names(ids)) if ids else 0

    def _with_names(self, ids: Iterable[str]) -> dict[str, list[str]]:
        wanted = list(ids)
        texts = self._stories.read(wanted)
        return {id_: self._names(read_story(id_, texts[id_])) if id_ in texts else [] for id_ in wanted}

    def _names(self, story: Story) -> list[str]:
        """List the names of a story. If its key is gone, its number's name stays until its bucket expires."""
        try:
            number = self._seal.open(story.sealed, story.id)
        except Unsealable:
            number = ""
        return every_name_of(self._seal, story.notes, number)
