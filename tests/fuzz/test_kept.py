"""What guided fuzzing found once is read each time, and its judge notices a reader that breaks its promise."""

import math

import pytest

from otp_service import phone
from otp_service.upstream.mobtexting import outcomes
from otp_service.upstream.mobtexting.transport import Answer
from otp_service.upstream.port import Outcome, Verdict
from tests.fuzz import kept, targets
from tests.fuzz.targets import answers, numbers

INPUTS = [(name, at, raw) for name in targets.NAMES for at, raw in enumerate(kept.read(name))]


@pytest.mark.parametrize(("name", "raw"), [pytest.param(n, raw, id=f"{n}-{at}") for n, at, raw in INPUTS])
def test_what_the_fuzzer_found_keeps_every_promise(name: str, raw: bytes) -> None:
    """Only documented refusals, the same answer twice, and values that are what they should be."""
    targets.load(name).check(raw)


@pytest.mark.parametrize("name", targets.NAMES)
def test_what_is_kept_is_small_and_names_nobody(name: str) -> None:
    """A few short inputs of each target; a number in them is one that its country keeps for fiction."""
    inputs = kept.read(name)
    assert 5 <= len(inputs) <= kept.MOST
    assert sum(map(len, inputs)) <= kept.MOST_BYTES
    assert {number for raw in inputs for number in kept.numbers_in(raw)} == set()


@pytest.mark.parametrize(
    "text",
    [
        "+14155552671",
        "IN\n98765 43210",
        '{"to": "919876543210"}',
        "status=1&value=%2B919876543210",
        "id: 0049 30 901820",
    ],
)
def test_a_number_that_somebody_may_have_is_seen(text: str) -> None:
    """However an input spells it."""
    assert kept.numbers_in(text.encode())


@pytest.mark.parametrize("name", targets.NAMES)
def test_inputs_to_begin_with_keep_every_promise(name: str) -> None:
    """A search begins with them."""
    target = targets.load(name)
    for raw in target.seeds:
        target.check(raw)


def test_an_input_that_reaches_nothing_new_is_not_kept() -> None:
    """Of two that reach the same the shorter is; one that names somebody's number never is."""
    target = targets.load("answers")
    assert kept.choose(target, [b"429\n120\n{}", b"429\n60\n{}", b"429\n4155552671\n{}"]) == [b"429\n60\n{}"]


def test_the_judge_of_answers_notices_a_price_that_is_none() -> None:
    """An outcome with a negative or endless price, as it was read before, fails."""
    answer = Answer(200, b'{"status": "OK", "data": [{"status": "SENT", "charges": "-0.5"}]}')
    reading = outcomes.for_recipient(outcomes.read(answer), outcomes.rows(outcomes.read(answer))[0])
    for charges in (-0.5, math.inf):
        with pytest.raises(AssertionError, match="a price that is none"):
            answers.check_outcome(answer, reading, Outcome(Verdict.ACCEPTED, "accepted", charges=charges))


def test_the_judge_of_numbers_notices_a_second_spelling() -> None:
    """A number whose own E.164 is read as another one fails."""
    with pytest.raises(AssertionError, match="another number"):
        numbers.check_number(phone.Number("+12025550100", "US", "mobile"), possible=False)
