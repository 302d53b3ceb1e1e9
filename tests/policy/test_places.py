"""Places: every key of a TOML document is found on the line it stands on, however it is written."""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.policy.places import join, line_of, lines_of

DOCUMENT = '''\
# a comment [with] = signs
top = 1
[app.web]
brand = "x" # ] hi
"a.b".'c d' = """
many # lines
[not.a.table]
"quoted\\"""""
keys = [ # "here"
  "a,", # ]
  'b]',

  { x = 1, y.z = [1,
  2.5] },
]
[[route]]
match = {a = [], t = { }}
at = 1979-05-27 07:32:00 # with a blank
[route.sub]
k = +inf
[[route.in]]
[[ route . "in" ]]
z = \'\'\'it\'s \\\'\'\'\'\'
[[route]]
q = ""
[ app . "ot]her" ]
"" = true
e."\\u00e9" = \'"\'
'''
PLACES = {
    "top": 2,
    "app": 3,
    "app.web": 3,
    "app.web.brand": 4,
    'app.web."a.b"': 5,
    'app.web."a.b"."c d"': 5,
    "app.web.keys": 9,
    "app.web.keys[0]": 10,
    "app.web.keys[1]": 11,
    "app.web.keys[2]": 13,
    "app.web.keys[2].x": 13,
    "app.web.keys[2].y": 13,
    "app.web.keys[2].y.z": 13,
    "app.web.keys[2].y.z[0]": 13,
    "app.web.keys[2].y.z[1]": 14,
    "route": 16,
    "route[0]": 16,
    "route[0].match": 17,
    "route[0].match.a": 17,
    "route[0].match.t": 17,
    "route[0].at": 18,
    "route[0].sub": 19,
    "route[0].sub.k": 20,
    "route[0].in": 21,
    "route[0].in[0]": 21,
    "route[0].in[1]": 22,
    "route[0].in[1].z": 23,
    "route[1]": 24,
    "route[1].q": 25,
    'app."ot]her"': 26,
    'app."ot]her".""': 27,
    'app."ot]her".e': 28,
    'app."ot]her".e."é"': 28,
}


def places(value: Any, place: str = "") -> Iterator[str]:  # noqa: ANN401 - whatever TOML holds
    """Name every place of a document."""
    if place:
        yield place
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, join(place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, f"{place}[{index}]")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_way_to_write_a_key_is_found(newline: str) -> None:
    """Tables, arrays of tables, dotted and quoted keys, inline tables, values over several lines, comments."""
    text = DOCUMENT.replace("\n", newline)
    assert sorted(places(tomllib.loads(text))) == sorted(PLACES), "the test's own table is complete"
    assert lines_of(text) == PLACES


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [
        ("[a.b]\n[a]\nx = 1", "a", 2),
        ("[[a]]\n[a.b]\n[[a]]\n[a.b]", "a[1].b", 4),
        ("[[a]]\n[[a]]", "a", 1),
        ("[a]\nb.c = 1\nb.d = 2", "a.b", 2),
        ('a = """\n\n"""\nb = 1', "b", 4),
        ('a = """"""\nb = 1', "b", 2),
        ('a = """""""\nb = 1', "b", 2),
        ('a = """x\\\\"""\nb = 1', "b", 2),
        ("a = ''''''''\nb = 1", "b", 2),
        ('a = "\\\\"\nb = 1', "b", 2),
        ("a = '\\'\nb = 1", "b", 2),
        ("a = [[], [[\n]], [\n1]]", "a[2][0]", 3),
        ("\n\n a\t.\tb = 1", "a.b", 3),
        ("", "", 1),
    ],
)
def test_ambiguous_syntax_is_read_correctly(text: str, place: str, line: int) -> None:
    """Quotes at the end of a text, backslashes that escape nothing, tables named late."""
    tomllib.loads(text)
    assert line_of(place, lines_of(text)) == line


def test_a_missing_place_has_the_line_of_the_table_around_it() -> None:
    """So a missing required key has a line too."""
    known = lines_of(DOCUMENT)
    assert line_of("app.web.origins", known) == 3
    assert line_of("route[0].steps[3].wait", known) == 16
    assert line_of('app."ot]her"."x.y"', known) == 26
    assert line_of("upstream", known) == 1


def test_invalid_toml_is_refused() -> None:
    """It is not read with made-up places."""
    with pytest.raises(ValueError, match="line 2"):
        lines_of("a = 1\n= 2")


KEYS = st.from_regex(r"[A-Za-z0-9_-]{1,5}", fullmatch=True) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=5
)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\n\"'#[]{},=")
)


def basic(text: str, mark: str = '"') -> str:
    """Write a basic string, over several lines between three quotes."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f"{mark}{text}{mark}" if len(mark) > 1 else f'"{text}"'.replace("\n", "\\n")


class Writer:
    """Writes a document piece by piece, and knows the line of each place."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.known: dict[str, int] = {}

    def line(self) -> int:
        """Give the line of the next character."""
        return self.text.count("\n") + 1

    def blank(self, *, newlines: bool) -> None:
        """Write whitespace and comments."""
        self.text += self.draw(st.sampled_from(["", " ", "\t", " \t "]))
        if newlines:
            self.text += self.draw(st.sampled_from(["", "", "\n", "\n\n  ", " # ] } , \" ''' =\n"]))

    def key(self, key: str) -> None:
        """Write a key, quoted if necessary and sometimes if not."""
        styles = [basic(key)]
        if key and all(sign.isascii() and (sign.isalnum() or sign in "-_") for sign in key):
            styles.append(key)
        if "'" not in key:
            styles.append(f"'{key}'")
        self.text += self.draw(st.sampled_from(styles))

    def value(self, place: str, depth: int) -> None:
        """Write any value."""
        kind = self.draw(st.integers(0, 6 if depth else 4))
        if kind == 0:
            self.text += self.draw(st.sampled_from(["1", "0x1f", "1_0.5e3", "true", "nan", "07:32:00"]))
        elif kind == 1:
            self.text += basic(self.draw(TEXTS))
        elif kind == 2:
            self.text += basic(self.draw(TEXTS), '"""')
        elif kind == 3:
            self.text += f"'''{self.draw(TEXTS).replace(chr(39), '')}'''"
        elif kind == 4:
            self.text += self.draw(st.sampled_from(["1979-05-27 07:32:00", "1979-05-27T07:32:00Z"]))
        elif kind == 5:
            self.array(place, depth - 1)
        else:
            self.inline(place, depth - 1)

    def array(self, place: str, depth: int) -> None:
        """Write an array over any number of lines."""
        self.text += "["
        for index in range(count := self.draw(st.integers(0, 3))):
            self.blank(newlines=True)
            self.known[f"{place}[{index}]"] = self.line()
            self.value(f"{place}[{index}]", depth)
            self.blank(newlines=True)
            if index < count - 1 or self.draw(st.booleans()):
                self.text += ","
        self.blank(newlines=True)
        self.text += "]"

    def inline(self, place: str, depth: int) -> None:
        """Write an inline table."""
        self.text += "{"
        keys = self.draw(st.lists(KEYS, max_size=3, unique=True))
        for at, key in enumerate(keys):
            self.blank(newlines=False)
            self.pair(place, key, depth)
            self.text += "," if at < len(keys) - 1 else ""
        self.blank(newlines=False)
        self.text += "}"

    def pair(self, place: str, key: str, depth: int) -> None:
        """Write a key, sometimes a dotted one, and its value."""
        line = self.line()
        self.known[place := join(place, key)] = line
        self.key(key)
        if self.draw(st.booleans()):
            self.blank(newlines=False)
            self.text += "."
            self.blank(newlines=False)
            inner = self.draw(KEYS)
            self.known[place := join(place, inner)] = line
            self.key(inner)
        self.blank(newlines=False)
        self.text += "="
        self.blank(newlines=False)
        self.value(place, depth)

    def table(self, name: str) -> None:
        """Write a table, or an array of one to three of them, with pairs."""
        many = self.draw(st.integers(0, 3))
        for index in range(max(1, many)):
            self.blank(newlines=True)
            line = self.line()
            place = join("", name)
            self.known.setdefault(place, line)
            if many:
                self.known[place := f"{place}[{index}]"] = line
            self.text += "[[" if many else "["
            self.key(name)
            self.text += "]]\n" if many else "]\n"
            self.pairs(place)

    def pairs(self, place: str) -> None:
        """Write pairs, each on a line of its own."""
        for key in self.draw(st.lists(KEYS, max_size=3, unique=True)):
            self.blank(newlines=True)
            self.pair(place, key, 2)
            self.text += self.draw(st.sampled_from(["\n", " # x\n"]))


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, Mapping[str, int]]:
    """Draw a document and the line of each of its places."""
    writer = Writer(draw)
    names = draw(st.lists(KEYS.map(lambda key: f"t{key}"), max_size=3, unique=True))
    for name in names:
        writer.table(name)
    return writer.text, writer.known


@given(documents())
def test_any_document_has_every_place_on_its_line(drawn: tuple[str, Mapping[str, int]]) -> None:
    """In any style: each place is on the writer's line, and no place that the reader knows is missing."""
    text, known = drawn
    assert set(places(tomllib.loads(text))) == set(known), "the writer knows what it wrote"
    assert lines_of(text) == known
    assert lines_of(text.replace("\n", "\r\n")) == known


PIECES = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\n",
    " ",
    "#",
    '"',
    "'",
    '"""',
    "'''",
    "\\",
    "a",
    "b",
    "1",
    "é",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text())
def test_every_accepted_document_is_read_without_an_error(text: str) -> None:
    """Each place that the reader knows has a line of the document."""
    try:
        document = tomllib.loads(text)
    except ValueError:
        return
    known = lines_of(text)
    assert set(places(document)) == set(known)
    assert all(1 <= line <= text.count("\n") + 1 for line in known.values())


def test_a_document_nested_as_deeply_as_allowed_is_read() -> None:
    """A place needs no more of the stack than the standard library's reader."""
    deep = 200
    text = f"a = {'[' * deep}{']' * deep}\nb = {'{c = ' * deep}1{'}' * deep}"
    tomllib.loads(text)
    assert lines_of(text)["b" + ".c" * deep] == 2
