"""Figures as drawings."""

from otp_service.http.console.pictures import draw_funnel, draw_spark


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
