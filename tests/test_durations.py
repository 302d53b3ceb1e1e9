"""Durations are read in one notation."""

import pytest

from otp_service.durations import read_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("30s", 30), ("5m", 300), ("24h", 86_400), ("4d", 345_600), ("999999999s", 999_999_999)],
)
def test_a_number_with_a_unit_is_a_duration(text: str, seconds: int) -> None:
    """The unit is seconds, minutes, hours or days."""
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "m",
        "5 m",
        " 5m",
        "5m\n",
        "-5m",
        "+5m",
        "1.5h",
        "5M",
        "5w",
        "1h30m",
        "٣m",
        "1234567890s",
        300,
        None,
    ],
)
def test_anything_else_is_refused(text: object) -> None:
    """A plus or minus, spaces, fractions, other digits and other units are errors."""
    with pytest.raises(ValueError, match="is not a duration"):
        read_duration(text)


def test_a_caller_may_take_fewer_units_and_digits() -> None:
    """What is outside the caller's choice is an error."""
    assert read_duration("1234m", units="mhd", max_digits=4) == 74_040
    for text in ("30s", "12345m"):
        with pytest.raises(ValueError, match="is not a duration"):
            read_duration(text, units="mhd", max_digits=4)


def test_bounds_belong_to_the_range() -> None:
    """The shortest and the longest duration are allowed, a second beyond is not."""
    assert [read_duration(text, shortest=60, longest=120) for text in ("60s", "2m")] == [60, 120]
    for text in ("59s", "121s"):
        with pytest.raises(ValueError, match="too short or too long"):
            read_duration(text, shortest=60, longest=120)
