"""Advice: what is compared, and when the data cannot tell."""

from collections.abc import Iterator
from dataclasses import replace

from otp_service.figures.advice import advise
from otp_service.figures.cells import Cell
from otp_service.figures.counting import count_note
from otp_service.history.note import Note, What
from otp_service.policy import Route, Split, StepRule

STEPS = tuple(StepRule(channel=channel, upstreams=("main",)) for channel in ("sms", "whatsapp"))
SPLIT = Split(share=0.3, order=("whatsapp", "sms"))
INDIA = Route(name="india", steps=STEPS, split=SPLIT)
Counts = Iterator[tuple[int, Cell, int]]


def people(
    half: str, n: int, verified: int, price: float, *, country: str = "IN", route: Route = INDIA
) -> Counts:
    """Count people who were assigned to a half of a split."""
    arm = route.split.arm(route.steps, half) if route.split else ""
    channel = "whatsapp" if half == "split" else "sms"
    about = Note(
        what=What.ADMITTED,
        at=1,
        country=country,
        route=route.name,
        arm=arm,
        channel=channel,
        account="main",
        place=0,
    )
    notes = {
        about: n,
        replace(about, what=What.SENT, result="accepted", price=price): n,
        replace(about, what=What.ENDED, result="verified"): verified,
    }
    for note, times in notes.items():
        for cell, count in count_note(note):
            yield 0, cell, count * times


def test_an_order_is_compared_where_people_were_assigned_at_random() -> None:
    """For all countries together and for each."""
    counted = [*people("steps", 3000, 2400, 1.0), *people("split", 1210, 1028, 0.82)]
    whole, india = advise((INDIA,), counted)["orders"]
    assert (whole["country"], india["country"], india["verdict"]) == ("", "IN", "better")
    assert (india["n"], india["other_n"]) == (3000, 1210)
    found = "+5.0 points verified (95 % interval 2.4 to 7.4), -18 % money, n = 4,210"
    assert india["text"] == f"whatsapp first in IN (route india): {found}"
    assert whole["text"] == f"whatsapp first in all countries (route india): {found}"


def test_without_a_split_the_data_cannot_tell() -> None:
    """However different the steps look: the second one sees only people whose first message failed."""
    plain = Route(name="india", steps=STEPS)
    counted = [*people("steps", 3000, 2400, 1.0, route=plain), *people("split", 3000, 100, 1.0, route=plain)]
    [order] = advise((plain,), counted)["orders"]
    assert (order["verdict"], order["order"]) == ("cannot_tell", [])
    assert "second steps reach only people whose first message failed" in order["text"]


def test_arms_of_an_earlier_form_do_not_count() -> None:
    """Who changed the share or a step has begun anew."""
    counted = [*people("steps", 3000, 2400, 1.0), *people("split", 3000, 2700, 1.0)]
    changed = replace(INDIA, split=replace(SPLIT, share=0.31))
    [order] = advise((changed,), counted)["orders"]
    assert (order["n"], order["other_n"], order["verdict"]) == (0, 0, "cannot_tell")


def test_missing_people_make_a_comparison_worthless() -> None:
    """Names beyond the most are counted together, and which arm loses more of them is not random."""
    lost = [(0, Cell("sent", "first", *["*"] * 6), 1)]
    counted = [*people("steps", 3000, 2400, 1.0), *people("split", 3000, 2700, 1.0), *lost]
    [order] = advise((INDIA,), counted)["orders"]
    assert order["verdict"] == "cannot_tell"
    assert "some people are missing from the comparison" in order["text"]


def test_a_route_with_one_channel_has_no_order() -> None:
    """Nothing is said about it."""
    assert advise((Route(steps=STEPS[:1]),), [])["orders"] == []


def test_each_step_is_shown_with_its_share_and_n() -> None:
    """Each message has its own code, so what was typed belongs to one step; first and later messages stay apart."""
    steps = advise((INDIA,), people("steps", 1000, 812, 1.0))["steps"]
    assert [(step["channel"], step["message"], step["n"], step["share"]) for step in steps] == [
        ("sms", "first", 1000, 0.812)
    ]
    assert 0.78 < steps[0]["low"] < 0.812 < steps[0]["high"] < 0.84
