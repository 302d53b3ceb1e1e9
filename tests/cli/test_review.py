"""The `review` command: numbers for the reviewers of an app store, from a terminal."""

import re
from collections.abc import Callable

from otp_service import policy
from otp_service.ops.review_numbers import day_of
from otp_service.policy.review import DAY
from tests.cli.test_keys import run

Run = Callable[..., tuple[int, str, str]]
__all__ = ["run"]
ADD = ("review", "add", "+1 202 555 0150", "--app", "web", "--purpose", "login", "--reason", "release 7")


def in_force(run: Run) -> str:
    """Return the text of the policy in force."""
    return run("policy", "show")[1]


def test_a_number_is_added_listed_and_removed(run: Run) -> None:
    """Its code is shown once, a purpose counts once; the policy is then as it was."""
    code, out, _ = run(*ADD, "--purpose", "signup", "--purpose", "login", "--days", "90")
    assert code == 0
    assert re.search(r"^code: [0-9]{6}   \(shown once\)\nversion 2 is in force$", out.strip())
    [entry] = policy.parse(in_force(run)).apps["web"].review.values()
    assert entry.purposes == ("login", "signup")
    assert entry.expires - entry.since == 90 * DAY
    drawn = out.split()[1]
    assert drawn not in in_force(run)
    _, listed, _ = run("review", "list")
    assert (
        listed
        == f"+12025550150  web  login, signup  from {day_of(entry.since)} until {day_of(entry.expires)}\n"
    )
    assert run("review", "remove", "+12025550150", "--app", "web", "--reason", "done")[:2] == (
        0,
        "version 3 is in force\n",
    )
    assert run("review", "list")[1] == "there are no review numbers\n"
    assert "review" not in in_force(run)


def test_what_cannot_be_added_is_told(run: Run) -> None:
    """Nothing is changed."""
    assert run(*ADD)[0] == 0
    before = in_force(run)
    for arguments, told in (
        (ADD, "must not be a review number already"),
        ((*ADD[:4], "nobody", *ADD[5:]), "There is no app of this name"),
        ((*ADD[:2], "+1 555", *ADD[3:]), "This number is too short for +1"),
        ((*ADD, "--days", "91"), "1<=x<=90"),
        (
            ("review", "remove", "+12025550151", "--app", "web", "--reason", "r"),
            "no review number of the app",
        ),
    ):
        code, _, err = run(*arguments)
        assert code != 0
        assert told in err, err
    assert in_force(run) == before


def test_a_number_that_could_be_somebodys_is_warned_of(run: Run) -> None:
    """As `policy check` does."""
    _, out, _ = run("review", "add", "+919876543210", *ADD[3:])
    assert "warning: " in out
    assert "may be somebody's" in out
