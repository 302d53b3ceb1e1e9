"""The words of the form, as its languages have them."""

import json

from tests.support.node_tools import CLIENT

_FOLDER = CLIENT / "languages"
LANGUAGES = sorted(file.stem for file in _FOLDER.glob("*.json"))


def words(tag: str) -> dict[str, str]:
    """Read the words of a language."""
    found: dict[str, str] = json.loads((_FOLDER / f"{tag}.json").read_text(encoding="utf-8"))
    return found
