"""Routes are edited as text: comments stay, and nothing changes but what was asked for."""

import tomllib
from contextlib import suppress

import pytest

from otp_service.errors import Invalid
from otp_service.ops.route_editing import move_step, set_wait, switch_off

TEXT = """# The policy of Acme.
[app.web]
brand = "Acme" # as in texts

# Payments need room.
[[route]]
name = "payments"
match = { app = ["web"], purpose = ["payment"] }
steps = [{ channel = "rcs", upstream = "a" }, { channel = "voice", upstream = "a", wait = "30s" }]

# All others.
[[route]]
steps = [
  # cheap
  { channel = "sms", upstream = ["a", "b"], wait = "10s" }, # since May
  { channel = "whatsapp", upstream = { a = 90, b = 10 }, wait = "10s" },
  { channel = "rcs", upstream = "a" } # last resort
]
"""


def channels(text: str, route: int) -> list[str]:
    """List the channels of a route."""
    return [step["channel"] for step in tomllib.loads(text)["route"][route]["steps"]]


def comments(text: str) -> set[str]:
    """List the comments of a text."""
    return {line.partition("#")[2] for line in text.splitlines() if "#" in line}


def test_a_step_moves_with_its_comments() -> None:
    """Those above it and behind it; commas stay where they are."""
    moved = move_step(TEXT, 1, 0, 1)
    assert channels(moved, 1) == ["whatsapp", "sms", "rcs"]
    assert (
        """steps = [
  { channel = "whatsapp", upstream = { a = 90, b = 10 }, wait = "10s" },
  # cheap
  { channel = "sms", upstream = ["a", "b"], wait = "10s" }, # since May
  { channel"""
        in moved
    )
    assert move_step(moved, 1, 1, -1) == TEXT


def test_the_last_step_moves_up_though_it_has_no_comma() -> None:
    """The comma belongs to the place, the comment to the step."""
    moved = move_step(TEXT, 1, 2, -1)
    assert channels(moved, 1) == ["sms", "rcs", "whatsapp"]
    assert '{ channel = "rcs", upstream = "a" }, # last resort\n' in moved


def test_steps_on_one_line_move() -> None:
    """As they are written."""
    assert channels(move_step(TEXT, 0, 0, 1), 0) == ["voice", "rcs"]


@pytest.mark.parametrize(("route", "step", "by"), [(1, 0, -1), (1, 2, 1), (2, 0, 1), (1, 9, 1)])
def test_no_step_moves_out_of_its_route(route: int, step: int, by: int) -> None:
    """Nor where there is none."""
    with pytest.raises(Invalid):
        move_step(TEXT, route, step, by)


@pytest.mark.parametrize(
    "text",
    [
        "route = 5",
        "route = [1]",
        "[[route]]\nname = 'a'",
        "[[route]]\nsteps = 5",
        "[[route]]\nsteps = [1, 2]",
        "[[route]]\nmatch = 5\nsteps = [{ channel = 'sms' }, { channel = 'rcs' }]",
        "[[route]]\nmatch = { country = 5 }\nsteps = [{ channel = 'sms' }, { channel = 'rcs' }]",
        "[[route]]\nsince = 2026-11-28\nsteps = [{ channel = 'sms' }, { channel = 'rcs' }]",
        "[[route]]\nsteps = [{ channel = 'sms' }, { channel = 'rcs', of = " + "[" * 2000 + "]" * 2000 + " }]",
    ],
)
def test_a_text_of_another_shape_is_edited_by_hand(text: str) -> None:
    """It is being typed, so anything may stand in it; a button changes it as asked, or says that it cannot."""
    with suppress(Invalid):
        tomllib.loads(move_step(text, 0, 0, 1))
    with suppress(Invalid):
        tomllib.loads(set_wait(text, 0, 0, "20s"))
    with suppress(Invalid):
        tomllib.loads(switch_off(text, "sms", "IN"))


def test_a_wait_is_changed_or_added() -> None:
    """Nothing else of the text changes."""
    assert set_wait(TEXT, 1, 1, "25s") == TEXT.replace('b = 10 }, wait = "10s"', 'b = 10 }, wait = "25s"')
    added = set_wait(TEXT, 1, 2, "auto")
    assert added == TEXT.replace('upstream = "a" } # last', 'upstream = "a", wait = "auto" } # last')


@pytest.mark.parametrize("wait", ["", "10", "10 s", '1s" }', "1h", "-1s"])
def test_a_wait_is_a_time(wait: str) -> None:
    """Whatever a form sends."""
    with pytest.raises(Invalid, match="rule"):
        set_wait(TEXT, 1, 1, wait)


def test_a_channel_is_switched_off_for_a_country() -> None:
    """Each route that has it gets a copy before it, for this country alone."""
    text = switch_off(TEXT, "rcs", "IN")
    routes = tomllib.loads(text)["route"]
    assert [channels(text, at) for at in range(4)] == [
        ["voice"],
        ["rcs", "voice"],
        ["sms", "whatsapp"],
        ["sms", "whatsapp", "rcs"],
    ]
    assert routes[0]["match"] == {"app": ["web"], "purpose": ["payment"], "country": ["IN"]}
    assert routes[2]["match"] == {"country": ["IN"]}
    assert routes[1::2] == tomllib.loads(TEXT)["route"]
    assert comments(text) == comments(TEXT) | {" IN without rcs."}


def test_a_second_channel_leaves_the_countrys_own_route() -> None:
    """No second copy: numbers of the country come to no later route."""
    once = switch_off(TEXT, "rcs", "IN")
    twice = switch_off(once, "whatsapp", "IN")
    assert channels(twice, 2) == ["sms"]
    assert len(tomllib.loads(twice)["route"]) == 4
    with pytest.raises(Invalid):
        switch_off(twice, "whatsapp", "IN")
    with pytest.raises(Invalid, match="rule"):
        switch_off(twice, "sms", "IN")


@pytest.mark.parametrize(("channel", "country"), [("mip", "IN"), ("rcs", "in"), ("rcs", "")])
def test_only_what_is_there_is_switched_off(channel: str, country: str) -> None:
    """A channel of no route, a country that is none."""
    with pytest.raises(Invalid):
        switch_off(TEXT, channel, country)


def test_steps_as_tables_are_left_to_a_person() -> None:
    """They are refused, not broken."""
    text = '[[route]]\n[[route.steps]]\nchannel = "sms"\n[[route.steps]]\nchannel = "rcs"\n'
    with pytest.raises(Invalid) as refused:
        move_step(text, 0, 0, 1)
    assert "edit the text" in refused.value.rules()[0][1]


def test_windows_line_ends_are_understood() -> None:
    """The result has those of all other texts."""
    assert move_step(TEXT.replace("\n", "\r\n"), 1, 0, 1) == move_step(TEXT, 1, 0, 1)
