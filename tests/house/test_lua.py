"""Each Lua script declares its keys and arguments in one form, and each mutant still fits its script."""

import re
from pathlib import Path

import pytest

import otp_service
from tests.house.lua_mutants import mutants

PACKAGE = Path(otp_service.__file__).parent
SCRIPTS = {file.stem: file.read_text(encoding="utf-8") for file in PACKAGE.glob("*/lua/*.lua")}
INCLUDED = {file.stem: file.read_text(encoding="utf-8") for file in PACKAGE.glob("*/lua/includes/*.lua")}
HEADER = re.compile(r"(?:-- .*\n)+-- KEYS: (.+)\n-- ARGV: (.+)\n(?:-- include: \w+\n)*(?!--)")


def declared(source: str) -> dict[str, list[str]]:
    """Return the keys and arguments in a script's header."""
    match = HEADER.match(source)
    assert match, "a header says what is done, then KEYS, then ARGV"
    return {
        kind: [] if names == "none" else names.split(", ")
        for kind, names in zip(("KEYS", "ARGV"), match.groups(), strict=True)
    }


def fits(names: list[str], source: str, kind: str) -> bool:
    """Return whether a script uses exactly its declared arguments: by index, or as a list at the end."""
    places = [int(place) for place in re.findall(rf"\b{kind}\[([0-9]+)\]", source)]
    as_a_list = bool(re.search(rf"\b{kind}\b(?!\[[0-9]+\]|:)", "\n".join(without_comments(source))))
    if names[-1:] == ["..."]:
        return as_a_list and max(places, default=0) < len(names)
    return not as_a_list and max(places, default=0) == len(names)


def without_comments(source: str) -> list[str]:
    """Return the lines of a script without comments."""
    return [line.partition("--")[0] for line in source.splitlines()]


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script_takes_what_it_names(name: str) -> None:
    """Readers need not count arguments, and every passed argument is used."""
    source = SCRIPTS[name]
    for kind, names in declared(source).items():
        assert fits(names, source, kind), (kind, names)


def test_the_check_itself_finds_what_is_wrong() -> None:
    """It finds a missing, a superfluous and an undeclared argument, and an undeclared list."""
    assert fits(["id"], "local id = ARGV[1]", "ARGV")
    assert fits(["ttl", "name", "..."], "local ttl = ARGV[1]\nfor at = 2, #ARGV do", "ARGV")
    assert not fits(["id", "app"], "local id = ARGV[1]", "ARGV")
    assert not fits([], "local id = ARGV[1]", "ARGV")
    assert not fits([], "return unpack(ARGV)", "ARGV")
    assert not fits(["id"], "return unpack(ARGV)", "ARGV")


def test_every_script_that_decides_or_writes_is_broken_by_a_mutant() -> None:
    """Only a script that reads and returns has nothing to break."""
    acts = re.compile(r"\bif\b|\bfor\b|redis\.call\(\"(?!GET|HGET|HGETALL|HMGET|TIME)")
    broken = {mutant.script for mutant, _ in mutants([])}
    acting = {name for name, text in SCRIPTS.items() if acts.search("\n".join(without_comments(text)))}
    assert acting <= broken


def test_the_time_is_read_in_one_place() -> None:
    """Every script that needs it includes the prologue."""
    assert [name for name, source in SCRIPTS.items() if "TIME" in "\n".join(without_comments(source))] == []
    assert sum("-- include: now\n" in source for source in SCRIPTS.values()) > 20


def test_every_mutant_fits_its_script() -> None:
    """A mutant whose text is not in the script would prove nothing."""
    assert [
        (mutant.script, mutant.old)
        for mutant, _ in mutants([])
        if mutant.old not in (SCRIPTS | INCLUDED)[mutant.script]
    ] == []
