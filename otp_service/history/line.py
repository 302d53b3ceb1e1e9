"""A note as one line of a story: a letter, the time, and short fields without names.

Knows the form of a line. Must not know where it is stored. A line holds no number, code or token, and nothing that the
first lines of its story say already.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from operator import attrgetter

from otp_service.history.note import Note, What

_LETTERS: dict[What, str] = {
    What.ASKED: "a",
    What.DECIDED: "o",
    What.ADMITTED: "l",
    What.REFUSED: "r",
    What.HUMAN_CHECK: "h",
    What.SENT: "s",
    What.NOT_SENT: "n",
    What.SKIPPED: "k",
    What.FELL_BACK: "f",
    What.REPORTED: "p",
    What.DROPPED: "d",
    What.GUESSED: "g",
    What.RESENT: "m",
    What.ENDED: "e",
    What.REDEEMED: "t",
    What.TOLD: "w",
}
_WHATS = {letter: what for what, letter in _LETTERS.items()}
_OF_ALL = {
    "app": "A",
    "country": "C",
    "purpose": "U",
    "reference": "F",
    "origin": "O",
    "known": "K",
    "route": "R",
    "arm": "B",
    "policy": "V",
    "plan": "P",
}
"""The letters of fields that are the same for a whole story."""
_OF_ADMITTED = {"plan": "P"}
_OF_ONE = {
    "request_id": "i",
    "channel": "c",
    "following": "f",
    "account": "a",
    "place": "n",
    "result": "r",
    "reason": "w",
    "rule": "u",
    "word": "v",
    "counter": "x",
    "threshold": "y",
    "window": "z",
    "seconds": "q",
    "price": "p",
}
_NAMES = {letter: name for name, letter in (_OF_ALL | _OF_ONE).items()}
_KINDS = {one.name: str(one.type) for one in fields(Note)}
_SENDS = frozenset({What.SENT, What.NOT_SENT, What.REPORTED, What.FELL_BACK, What.DROPPED, What.SKIPPED})
"""What happens without a request of its own."""
_PLACES = {What.ASKED: 0, What.DECIDED: 1, What.ADMITTED: 2, What.FELL_BACK: 4, What.TOLD: 4}
_USUAL_PLACE = 3
_EMPTY = ("", None)
_SAID = frozenset((what, "request_id") for what in (*_SENDS, What.DECIDED, What.ADMITTED))
"""What a line need not say: the request was named when it was asked."""
_EPOCH = 1_600_000_000_000
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ESCAPED = {"%": "%25", "|": "%7C", "\n": "%0A"}
_ESCAPES = str.maketrans(_ESCAPED)
_LONGEST = 100
"""Characters of a field; the rest is cut off."""


def write_line(note: Note) -> str:
    """Write a note, with a line break at its end."""
    letters, values_of = _FORMS[note.what]
    parts = [_LETTERS[note.what], _base36(max(0, note.at - _EPOCH))]
    for letter, value in zip(letters, values_of(note), strict=True):
        if value not in _EMPTY and not (letter == _REASON and value == note.result):
            parts.append(letter + _written(value))
    return "|".join(parts) + "\n"


def _form(what: What) -> tuple[str, Callable[[Note], tuple[object, ...]]]:
    """Return the letters of the fields that a line of such a note has, and what reads them."""
    named = _OF_ONE | (_OF_ALL if what is What.ASKED else _OF_ADMITTED)
    names = [name for name in named if (what, name) not in _SAID]
    return "".join(named[name] for name in names), attrgetter(*names)


_FORMS = {what: _form(what) for what in What}
_REASON = _OF_ONE["reason"]


def read_lines(text: str) -> list[Note]:
    """Read the lines of a story in order of time, each once. A line of an unknown form is passed over."""
    return in_order([note for line in dict.fromkeys(text.split("\n")) if (note := _read(line))])


def in_order(notes: Iterable[Note]) -> list[Note]:
    """Put notes in order of time.

    In one millisecond a story begins before anything else happens to it, and a worker acts on a report after it came:
    two processes write the one and the other.
    """
    return sorted(notes, key=lambda note: (note.at, _PLACES.get(note.what, _USUAL_PLACE)))


def needle(name: str, value: str) -> str:
    """Return what a line with this field contains."""
    return "|" + (_OF_ALL | _OF_ONE)[name] + _written(value)


def time_of(line: str) -> int:
    """Return the time of a line, 0 if it has none."""
    letter, _, rest = line.partition("|")
    return _EPOCH + int(rest.partition("|")[0], 36) if letter in _WHATS and rest else 0


def _read(line: str) -> Note | None:
    letter, *rest = line.split("|")
    if letter not in _WHATS or not rest:
        return None
    facts = dict(_facts(rest[1:]))
    return Note(what=_WHATS[letter], at=_EPOCH + int(rest[0], 36), **facts)  # type: ignore[arg-type]


def _facts(parts: Iterable[str]) -> Iterator[tuple[str, object]]:
    for part in parts:
        name = _NAMES.get(part[:1])
        if name is not None:
            yield name, _value(_KINDS[name], part[1:])


def _value(kind: str, text: str) -> object:
    if "float" in kind:
        return float(text)
    if "int" in kind:
        return int(text)
    for plain, escaped in reversed(_ESCAPED.items()):
        text = text.replace(escaped, plain)
    return text


def _written(value: object) -> str:
    if isinstance(value, float):
        return f"{round(value, 3):.12g}"
    return str(value)[:_LONGEST].translate(_ESCAPES)


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
