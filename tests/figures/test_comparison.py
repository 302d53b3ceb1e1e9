"""What two arms of a split can tell."""

import pytest

from otp_service.figures.comparison import LEAST, Arm, compare


def test_a_better_order_is_told_with_its_interval_its_money_and_n() -> None:
    """In the words of an operator."""
    found = compare(Arm(let_in=3000, verified=2400, money=3000), Arm(let_in=1210, verified=1028, money=992))
    assert found.verdict == "better"
    assert found.text() == "+5.0 points verified (95 % interval 2.4 to 7.4), -18 % money, n = 4,210"


def test_a_worse_order_is_told_as_such() -> None:
    """The difference is that of the other order less the written one."""
    found = compare(Arm(let_in=1000, verified=800), Arm(let_in=1000, verified=700))
    assert (found.verdict, found.change) == ("worse", None)
    assert found.text().startswith("-10.0 points verified (95 % interval -13.7 to -6.2), n = 2,000")


def test_an_interval_with_zero_cannot_tell() -> None:
    """What was seen is shown all the same."""
    found = compare(Arm(let_in=200, verified=160, money=200), Arm(let_in=200, verified=162, money=220))
    assert found.verdict == "cannot_tell"
    assert found.text().startswith("no clear difference yet: +1.0 points verified")
    assert "+10 % money" in found.text()


@pytest.mark.parametrize("few", [0, LEAST - 1])
def test_too_few_people_are_not_compared(few: int) -> None:
    """Whichever order has too few."""
    for arms in ((Arm(let_in=few), Arm(let_in=LEAST)), (Arm(let_in=LEAST), Arm(let_in=few))):
        found = compare(*arms)
        assert (found.verdict, found.points) == ("cannot_tell", None)
        assert found.text() == f"too few people yet, n = {few + LEAST}: each order needs {LEAST}"
    assert compare(Arm(let_in=LEAST), Arm(let_in=LEAST)).points == 0


def test_people_of_the_day_before_do_not_break_a_share() -> None:
    """Codes that were sent before the first day may be verified in it."""
    found = compare(Arm(let_in=LEAST, verified=LEAST + 3), Arm(let_in=LEAST, verified=LEAST))
    assert (found.points, found.verdict) == (0, "cannot_tell")
