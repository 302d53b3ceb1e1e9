"""What is said to need a person, from figures of hours, and what is not."""

from typing import Any

from otp_service.http.console.fires import FALLEN, HOUR, LEAST, Fall, list_falls, list_silent
from otp_service.http.console.pictures import draw_funnel, draw_spark

NOW = 500_000 * HOUR + 40 * 60_000
THIS, LAST, YESTERDAY = NOW // HOUR * HOUR, (NOW // HOUR - 1) * HOUR, (NOW // HOUR - 24) * HOUR


def row(time: int, sent: int, verified: int = 0, **more: object) -> dict[str, Any]:
    """Give the figures of an hour."""
    usual = {"channel": "sms", "country": "IN", "account": "main", "delivered": 0, "failed": 0}
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


def test_an_account_that_reports_no_more_is_said() -> None:
    """It did before, and messages leave."""
    before = row(YESTERDAY, 100, delivered=90)
    assert list(list_silent([before, row(LAST, 10), row(THIS, 10)], NOW)) == [("main", "sms", 20)]
    assert list(list_silent([before, row(THIS, LEAST - 1)], NOW)) == []
    assert list(list_silent([before, row(THIS, 100, delivered=1)], NOW)) == []
    assert list(list_silent([before, row(THIS, 100, failed=1)], NOW)) == []
    assert list(list_silent([row(THIS, 100)], NOW)) == []


def test_a_funnel_counts_challenges() -> None:
    """A second message of a challenge makes no stage longer than the one before it."""
    total = {
        "asked": 10,
        "let_in": 8,
        "sent": 14,
        "first_sent": 8,
        "delivered": 12,
        "reached": 7,
        "verified": 6,
    }
    assert [(bar.name, bar.count, bar.part) for bar in draw_funnel(total)] == [
        ("Asked", 10, 1.0),
        ("Let in", 8, 0.8),
        ("Sent", 8, 0.8),
        ("Delivered", 7, 0.7),
        ("Verified", 6, 0.6),
    ]
    assert [bar.part for bar in draw_funnel(dict.fromkeys(total, 0))] == [0.0] * 5


def test_a_line_of_counts_fits_its_box() -> None:
    """From left to right, the highest count at the top."""
    assert draw_spark([0, 2, 4]) == "0.0,19.0 50.0,10.0 100.0,1.0"
    assert draw_spark([0]) == "0.0,19.0"
