"""The policies of docs/cookbook.md and docs/india.md do for each number what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

from otp_service import policy
from otp_service.guard.decision import Decision
from otp_service.ops.simulation import Question, simulate
from otp_service.policy import Policy
from tests.support.documents import PROJECT, blocks

COOKBOOK, INDIA = PROJECT / "docs" / "cookbook.md", PROJECT / "docs" / "india.md"
_LINE = re.compile(r"(\+[0-9 ]+?)((?: [a-z]+=\S+)*)( text)? -> (.+)")


def recipes(file: Path) -> list[tuple[str, str, list[str]]]:
    """List each recipe of a page: its title, its whole policy, and the lines that are simulated."""
    beginning, *parts = re.split(r"^## ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    base = "".join(blocks(beginning, "toml"))
    return [
        (part.partition("\n")[0], base + "\n" + "".join(blocks(part, "toml")), lines)
        for part in parts
        if (lines := "".join(blocks(part, "simulated")).splitlines())
    ]


CASES = [
    pytest.param(text, line, id=f"{title}: {line.partition(' ->')[0]}")
    for file in (COOKBOOK, INDIA)
    for title, text, lines in recipes(file)
    for line in lines
]


def simulated(rules: Policy, fields: dict[str, str]) -> dict[str, Any]:
    """Simulate a send before anything was learned or counted."""
    return simulate(
        rules,
        Question(**fields),
        lambda _channel, _country: None,
        lambda _guard, _send: Decision(verdict="allow", now=0),
    )


def shown(answer: dict[str, Any], accounts: str) -> str:
    """Write what a number gets as the page does; with its accounts if the page names some."""
    if answer["problem"]:
        return str(answer["problem"]).partition(":")[0]
    steps = answer["steps"]
    parts = []
    for place, step in enumerate(steps):
        through = " " + "/".join(step["upstreams"]) if "/" in accounts and len(step["upstreams"]) > 1 else ""
        wait = f" {step['wait']}s" if place + 1 < len(steps) else ""
        parts.append(f"{step['channel']}{through}{wait}")
    return ", ".join(parts)


@pytest.mark.parametrize(("text", "line"), CASES)
def test_a_number_gets_what_the_page_says(text: str, line: str) -> None:
    """The steps with their waits, the accounts if several are named, or the text that leaves."""
    found = _LINE.fullmatch(line)
    assert found, line
    number, fields, of_text, expected = found.groups()
    pairs = dict(pair.split("=") for pair in fields.split())
    answer = simulated(policy.parse(text), {"to": number, **pairs})
    assert (answer["steps"][0]["text"] if of_text else shown(answer, expected)) == expected


def test_there_are_ten_recipes_and_each_is_simulated() -> None:
    """None stands there without a number."""
    titles = re.findall(r"^## ([0-9]+)\. ", COOKBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    assert titles == [str(number) for number in range(1, 11)]
    assert len(recipes(COOKBOOK)) == 10


@pytest.mark.parametrize("file", [COOKBOOK, INDIA], ids=lambda file: file.name)
def test_no_recipe_has_a_warning_that_matters(file: Path) -> None:
    """A reader who copies one is warned of the example's keys, and of its one id for all texts only."""
    # In languages with letters of their own, the longest amount and payee need two parts.
    known = (
        "is the hash of the example",
        "stands for several texts",
        "allows GB without",
        "app.pay.binding: ",
    )
    for title, text, _ in recipes(file):
        warnings = [one for one in policy.parse(text).warnings if not any(word in one for word in known)]
        assert warnings == [], title


def test_the_tests_that_are_named_exist() -> None:
    """Each rule of the page for India is shown by a test."""
    named = re.findall(r"`([a-z_/]+\.py)::([a-z_]+)`", INDIA.read_text(encoding="utf-8"))
    assert len(named) == 6
    for file, name in named:
        assert f"def {name}(" in (PROJECT / "tests" / file).read_text(encoding="utf-8")


def test_the_registered_text_is_the_only_one() -> None:
    """No other text can leave under an id of the page for India."""
    ((_, text, _),) = [one for one in recipes(INDIA) if "template_ids" in one[1]]
    assert [one for one in policy.parse(text).warnings if "stands for several texts" in one] == []
