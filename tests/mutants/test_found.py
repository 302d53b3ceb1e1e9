"""What is read of a run of mutants, and what is said of it."""

import json
from pathlib import Path

import pytest

from tests.mutants.__main__ import complaints, judge
from tests.mutants.found import Mutant, change, read
from tests.mutants.reasons import REASONS

CODE = """
def x_double__mutmut_orig(number):
    return number * 2
def x_double__mutmut_1(number):
    return number / 2
def x_double__mutmut_2(number):
    return number * 3
class Line:
    def x\u01c1Line\u01c1end__mutmut_orig(self):
        return self.start + 1
    def x\u01c1Line\u01c1end__mutmut_1(self):
        return self.start - 1
"""
CODES = {
    "otp_service.policy.lines.x_double__mutmut_1": 1,
    "otp_service.policy.lines.x_double__mutmut_2": 0,
    "otp_service.policy.lines.x\u01c1Line\u01c1end__mutmut_1": 33,
}


def test_each_mutant_is_named_by_what_was_changed(tmp_path: Path) -> None:
    """Not by mutmut's number, which moves with every change of the function."""
    folder = tmp_path / "otp_service/policy"
    folder.mkdir(parents=True)
    (folder / "lines.py").write_text(CODE)
    (folder / "lines.py.meta").write_text(json.dumps({"exit_code_by_key": CODES}))
    assert list(read(tmp_path)) == [
        Mutant("policy.lines", "double", "number * 2 -> number / 2", noticed=True),
        Mutant("policy.lines", "double", "* 2 -> * 3", noticed=False),
        Mutant("policy.lines", "Line.end", ".start + 1 -> .start - 1", noticed=False),
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("return a and b", "return a or b", "a and b -> a or b"),
        ("f(a, b)", "f(a)", "f(a, b) -> f(a)"),
        ("x = 'a b c'", "x = None", "= 'a b c' -> = None"),
    ],
)
def test_a_change_is_told_with_the_words_around_it(before: str, after: str, said: str) -> None:
    """Enough to find it in the function."""
    assert change(before, after) == said


def test_a_survivor_without_a_reason_and_a_low_score_are_complaints() -> None:
    """One of ten may survive, if somebody says why."""
    noticed = [Mutant("a", "f", str(at), noticed=True) for at in range(18)]
    judged = judge(
        [*noticed, Mutant("a", "f", "1 -> 2", noticed=False), Mutant("b", "g", "x", noticed=False)]
    )
    assert (judged["mutants"], judged["noticed"], judged["percent"]) == (20, 18, 90.0)
    assert judged["modules"]["b"] == {"mutants": 1, "noticed": 0, "percent": 0.0, "untried": 0}
    assert complaints(judged) == ["b: 0.0 %", "SURVIVED a.f: 1 -> 2", "SURVIVED b.g: x"]


def test_what_was_not_tried_is_neither_noticed_nor_a_survivor() -> None:
    """A run that was stopped says how much is missing."""
    judged = judge([Mutant("a", "f", "1 -> 2", noticed=True), Mutant("a", "f", "2 -> 3", noticed=None)])
    assert judged["modules"]["a"] == {"mutants": 1, "noticed": 1, "percent": 100.0, "untried": 1}
    assert complaints(judged) == ["1 were not tried"]


def test_every_reason_is_a_sentence_about_a_module_that_is_there() -> None:
    """So that none outlives what it excuses."""
    for (module, function), reasons in REASONS.items():
        path = Path("otp_service", *module.split(".")).with_suffix(".py")
        assert f"def {function.rpartition('.')[2]}(" in path.read_text()
        assert all(reason.endswith(".") and " -> " in changed for changed, reason in reasons.items())
