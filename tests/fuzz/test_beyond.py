"""The fuzzer knows each rule that the product has beyond its schemas: it reports only what a schema could say."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import otp_service
from tests.fuzz.beyond import BEYOND

PACKAGE = Path(otp_service.__file__).parent
ELSEWHERE = ("http/", "ops/route_editing.py", "ops/review_numbers.py")
"""Where rules are that no valid request of the API meets: of its schemas, of the console's forms, of commands."""


def raised() -> Iterator[tuple[str, str]]:
    """Yield the place and the words of each rule in an `Invalid({field: [rule]})`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        if place.startswith(ELSEWHERE):
            continue
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        named = {ast.unparse(node.targets[0]): node.value for node in nodes if isinstance(node, ast.Assign)}
        for node in nodes:
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Invalid":
                lists = [one for one in ast.walk(node.args[0]) if isinstance(one, ast.List)]
                yield from (
                    (place, said) for one in lists for rule in one.elts for said in words(rule, named)
                )


def words(rule: ast.expr, named: Mapping[str, ast.expr]) -> Iterator[str]:
    """Yield the words of a rule, of both if it is one of two, without what is filled in."""
    if isinstance(rule, ast.IfExp):
        yield from (*words(rule.body, named), *words(rule.orelse, named))
    elif isinstance(rule, ast.JoinedStr):
        yield "".join(str(part.value) for part in rule.values if isinstance(part, ast.Constant))
    elif isinstance(rule, ast.Constant):
        yield str(rule.value)
    elif ast.unparse(rule) in named:  # else it is imported, and found where it is raised first
        yield from words(named[ast.unparse(rule)], named)


RULES = list(raised())


@pytest.mark.parametrize(("place", "rule"), RULES)
def test_a_rule_that_no_schema_says_is_known(place: str, rule: str) -> None:
    """A valid request that breaks it is refused, and that is no fault."""
    assert BEYOND.search(rule), f"{place}: the fuzzer takes {rule!r} for a rule that the schema could say"


def test_rules_are_found() -> None:
    """In use cases, stores and the guard."""
    assert {place.partition("/")[0] for place, _ in RULES} >= {"ops", "history", "guard", "verification"}
