"""Which falls of conversion are said to need a person, and which are not."""

from typing import Any

from otp_service.alerts.conversion import FALLEN, HOUR, LEAST, SETTLED, Fall, list_falls

NOW = 500_000 * HOUR + 40 * 60_000
THIS, LAST, YESTERDAY = NOW // HOUR * HOUR, (NOW // HOUR - 1) * HOUR, (NOW // HOUR - 24) * HOUR


def row(time: int, sent: int, verified: int = 0, **more: object) -> dict[str, Any]:
    """Give the figures of an hour."""
    usual = {"channel": "sms", "country": "IN"}
    return {**usual, "time": time, "sent": sent, "verified": verified, **more}


def test_conversion_below_the_same_hour_yesterday_is_said() -> None:
    """With both shares, and how many messages they are of."""
    rows = [row(YESTERDAY, 100, 72), row(THIS, 100, 41)]
    assert list(list_falls(rows, NOW)) == [Fall("sms", "IN", 0.41, 0.72, 100)]


def test_only_what_has_fallen_far_is_said() -> None:
    """Up to the limit it is chance, or the time of the day."""
    most = round(80 * FALLEN)
    assert list(list_falls([row(YESTERDAY, 100, 80), row(THIS, 100, most + 1)], NOW)) == []
    assert len(list(list_falls([row(YESTERDAY, 100, 80), row(THIS, 100, most - 1)], NOW))) == 1


def test_an_hour_with_few_messages_says_nothing() -> None:
    """The last one is asked instead; without any there is nothing to say."""
    before = [row(YESTERDAY, 100, 80), row(YESTERDAY - HOUR, 100, 80)]
    assert list(list_falls([*before, row(THIS, LEAST - 1)], NOW)) == []
    (fall,) = list_falls([*before, row(THIS, LEAST - 1), row(LAST, LEAST, 1)], NOW)
    assert fall.sent == LEAST
    assert list(list_falls([row(YESTERDAY, LEAST - 1, LEAST - 1), row(THIS, 100)], NOW)) == []


def test_countries_and_channels_are_told_apart() -> None:
    """A fall in one is not hidden by the others."""
    rows = [row(YESTERDAY, 100, 80, country=one) for one in ("IN", "US")]
    rows += [row(THIS, 100, 10), row(THIS, 100, 80, country="US")]
    assert [fall.country for fall in list_falls(rows, NOW)] == ["IN"]


def test_an_hour_that_has_just_begun_says_nothing() -> None:
    """Its messages had no time to be verified; the hour before is asked instead."""
    begun = NOW // HOUR * HOUR + SETTLED - 1
    rows = [row(YESTERDAY, 100, 80), row(THIS, 100, 0)]
    assert list(list_falls(rows, begun)) == []
    assert len(list(list_falls(rows, begun + 1))) == 1
    (fall,) = list_falls([row(YESTERDAY - HOUR, 100, 80), row(LAST, 100, 10)], begun)
    assert fall.now == 0.1
