"""The line of each place in a TOML document, which the standard library's reader does not keep.

Pure. Knows the syntax of TOML. Must not know what a document means. tomllib has already accepted the document, so
nothing is checked here.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BETWEEN = re.compile(r"(?:[ \t\n,]|#[^\n]*)*")
_SCALAR = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""(?:"{0,2})'''
    r"""|'''.*?'''(?:'{0,2})"""
    r"""|"(?:[^"\\]|\\.)*"|'[^']*'"""
    r"""|[^,\]}#\n]+""",
    re.DOTALL,
)


def join(place: str, key: str) -> str:
    """Name the place of `key` in the table at `place`. A key that is not bare is quoted."""
    if not _BARE.fullmatch(key):
        key = '"{}"'.format(key.replace("\\", "\\\\").replace('"', '\\"'))
    return f"{place}.{key}" if place else key


def lines_of(text: str) -> Mapping[str, int]:
    """Map each place of a document, such as "route[0].steps[1].upstream", to its line, counted from 1.

    Raises ValueError for a document that tomllib also refuses.
    """
    return _Reader(text.replace("\r\n", "\n")).read()


def headers_of(text: str) -> list[tuple[int, tuple[str, ...]]]:
    """List the line of each table's header, counted from 1, and the keys in it. Raises ValueError as `lines_of`."""
    reader = _Reader(text.replace("\r\n", "\n"))
    reader.read()
    return reader.headers


def spans_of(text: str) -> Mapping[str, tuple[int, int]]:
    """Map the place of each value to where it starts and ends in a document with LF line ends.

    A table with a header of its own has none. Raises ValueError as `lines_of`.
    """
    reader = _Reader(text)
    reader.read()
    return reader.spans


def line_of(place: str, known: Mapping[str, int]) -> int:
    """Return the line of a place. If it is missing, return the line of the nearest table around it, or 1."""
    end = len(place)
    while end > 0 and place[:end] not in known:
        end = max(place.rfind(".", 0, end), place.rfind("[", 0, end))
    return known[place[:end]] if end > 0 else 1


class _Reader:
    """Reads a document once, from start to end. `_at` is the position."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = list(accumulate(len(line) + 1 for line in text.split("\n")))
        self._lines: dict[str, int] = {}
        self.headers: list[tuple[int, tuple[str, ...]]] = []
        self.spans: dict[str, tuple[int, int]] = {}
        self._elements: dict[str, int] = {}
        """The number of elements that each array of tables has so far."""

    def read(self) -> Mapping[str, int]:
        table = ""
        self._pass(_BLANK)
        while self._at < len(self._text):
            if self._next("["):
                table = self._header()
            else:
                self._pair(table)
            self._pass(_BLANK)
        return self._lines

    def _header(self) -> str:
        """Read `[a.b]` or `[[a.b]]`, and return the place of its table."""
        line = self._line()
        many = self._text.startswith("[[", self._at)
        self._at += 2 if many else 1
        keys = self._keys()
        self.headers.append((line, tuple(keys)))
        *outer, last = keys
        self._at += 2 if many else 1
        table = self._descend("", outer, line)
        table = join(table, last)
        if many:
            self._lines.setdefault(table, line)
            self._elements[table] = self._elements.get(table, 0) + 1
            table = self._inside(table)
        self._lines[table] = line
        return table

    def _pair(self, table: str) -> None:
        line = self._line()
        *outer, last = self._keys()
        self._at += 1  # the equals sign
        place = join(self._descend(table, outer, line), last)
        self._lines[place] = line
        self._value(place)

    def _descend(self, table: str, keys: Sequence[str], line: int) -> str:
        """Return the place of a nested table, and record tables that exist only because a key names them."""
        for key in keys:
            table = join(table, key)
            self._lines.setdefault(table, line)
            table = self._inside(table)
        return table

    def _inside(self, table: str) -> str:
        """Return the newest element of an array of tables; for any other table, return the table."""
        count = self._elements.get(table, 0)
        return f"{table}[{count - 1}]" if count else table

    def _keys(self) -> list[str]:
        """Read a dotted key and the whitespace around it."""
        self._pass(_BLANK)
        keys = [self._key()]
        while (dot := _DOT.match(self._text, self._at)) is not None:
            self._at = dot.end()
            keys.append(self._key())
        self._pass(_BLANK)
        return keys

    def _key(self) -> str:
        raw = self._take(_KEY)
        return next(iter(tomllib.loads(f"{raw}=0"))) if raw[0] in "\"'" else raw

    def _value(self, place: str) -> None:
        self._pass(_BLANK)
        start = self._at
        if self._next("["):
            for index, _ in enumerate(self._items("]")):
                self._lines[f"{place}[{index}]"] = self._line()
                self._value(f"{place}[{index}]")
        elif self._next("{"):
            for _ in self._items("}"):
                self._pair(place)
        else:
            self._take(_SCALAR)
        self.spans[place] = (start, start + len(self._text[start : self._at].rstrip()))

    def _items(self, end: str) -> Iterator[None]:
        """Yield at each item of an array or inline table, then skip its end."""
        self._at += 1
        self._pass(_BETWEEN)
        while not self._next(end):
            yield
            self._pass(_BETWEEN)
        self._at += 1

    def _next(self, mark: str) -> bool:
        return self._text.startswith(mark, self._at)

    def _pass(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError(f"line {self._line()} is not valid TOML")
        self._at = found.end()
        return found[0]

    def _line(self) -> int:
        return bisect_right(self._ends, self._at) + 1
