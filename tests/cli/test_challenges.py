"""The `challenges` command: what it finds, shows and exports."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from otp_service.bootstrap.core import Core
from otp_service.cli.challenges import PAGE
from otp_service.errors import TooManyRequests
from otp_service.guard.decision_hook import Answer
from otp_service.history.note import Note, What
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.support.http_api import NUMBER, Run

pytest_plugins = ["tests.support.command_fixtures"]


def sent(product: Core) -> str:
    """Send once, and be refused once; gives the challenge's id."""
    caller = Caller(app=product.policy.apps["web"], active=product.active(), request_id="q" * 11)
    id_ = product.send.send(caller, SendRequest(to=NUMBER, reference="order-1")).challenge_id
    again = Caller(app=caller.app, active=caller.active, request_id="z" * 11)
    with pytest.raises(TooManyRequests):
        product.send.send(again, SendRequest(to=NUMBER))
    product.journal.hand_over()
    return id_


@pytest.mark.parametrize("by", ["id", "order-1", "q" * 11])
def test_a_challenge_is_found_by_what_an_operator_knows(run: Run, product: Core, by: str) -> None:
    """An id, a reference and a request's id each find this one alone."""
    id_ = sent(product)
    code, out, _ = run("challenges", "find", id_ if by == "id" else by)
    (line,) = out.splitlines()
    assert code == 0
    assert line.startswith(f"{id_}  ")
    assert line.endswith("+1********00 US  app web: pending, sms queued")


def test_a_number_finds_the_refused_send_as_well(run: Run, product: Core) -> None:
    """The audit line names who searched, and not the number."""
    id_ = sent(product)
    code, out, err = run("challenges", "find", NUMBER, "--json", "--author", "bo")
    found = json.loads(out)
    assert code == 0
    assert {one["state"] for one in found} == {"pending", "refused"}
    assert id_ in {one["id"] for one in found}
    (audit,) = [json.loads(line) for line in err.splitlines()]
    assert (audit["event"], audit["by"], audit["kind"]) == ("challenges.searched", "bo", "number")
    assert NUMBER[-6:] not in err + out


@pytest.mark.parametrize(
    "number",
    [
        f"\u202a{NUMBER}\u202c",
        f"tel:{NUMBER}",
        NUMBER.translate({ord(char): ord(char) + 0xFEE0 for char in NUMBER}),
        "+" + NUMBER[1:].translate({ord(str(digit)): 0x660 + digit for digit in range(10)}),
        f"{NUMBER[:2]}\u00a0{NUMBER[2:5]}\u2011{NUMBER[5:]}",
    ],
)
def test_a_number_is_found_as_it_was_pasted(run: Run, product: Core, number: str) -> None:
    """With marks that cannot be seen, as a link, full-width, in Arabic digits, and as it is set in print."""
    id_ = sent(product)
    code, out, _ = run("challenges", "find", number)
    assert code == 0
    assert id_ in out


def test_more_than_are_shown_is_said(run: Run, product: Core) -> None:
    """Beside the stories, so that a script that reads them is not disturbed."""
    asked = Note(what=What.ASKED, at=1, app="web", country="US", number=NUMBER)
    for place in range(PAGE):
        product.journal.add(replace(asked, request_id=f"{place:011}"))
    product.journal.hand_over()
    assert "These are the newest" not in run("challenges", "find", NUMBER)[2]
    product.journal.add(replace(asked, request_id="q" * 11))
    product.journal.hand_over()
    code, out, err = run("challenges", "find", NUMBER)
    assert (code, len(out.splitlines())) == (0, PAGE)
    assert f"These are the newest {PAGE};" in err


def test_what_is_not_known_is_said(run: Run, product: Core) -> None:
    """With a code that a script sees."""
    assert product.store.stories.count_bytes() == {}
    assert run("challenges", "find", "nobody")[:2] == (1, "nothing is known of it\n")
    code, _, err = run("challenges", "show", "0" * 24)
    assert code == 1
    assert err.startswith("No challenge and no refused send that is kept has this id.\n")


def test_a_rule_that_counts_nothing_shows_no_figures(run: Run, product: Core) -> None:
    """Such as the decision of an app's own endpoint."""
    asked = Note(what=What.ASKED, at=1, request_id="d" * 11, app="web", country="US", number=NUMBER)
    refused = replace(asked, what=What.REFUSED, at=2, reason="no_route", rule="decision")
    for note in (asked, replace(refused, counter=1, threshold=0, window=0)):
        product.journal.add(note)
    product.journal.hand_over()
    [found] = json.loads(run("challenges", "find", "d" * 11, "--json")[1])
    last = run("challenges", "show", found["id"])[1].splitlines()[-1]
    assert last.partition(" s  ")[2] == "refused rule decision (no_route)  request_id=ddddddddddd"


def test_a_story_is_told_line_by_line(run: Run, product: Core) -> None:
    """The refusal says rule, counter and threshold."""
    sent(product)
    (refused,) = json.loads(run("challenges", "find", "z" * 11, "--json")[1])
    code, out, _ = run("challenges", "show", refused["id"])
    first, *_, last = out.splitlines()
    assert code == 0
    assert first.endswith("refused (too_many_requests by cooldown)")
    assert "refused" in last
    assert "rule cooldown: 1 of 1 in 30 s (too_many_requests)  request_id=zzzzzzzzzzz" in last


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer("human_check", "", 0.0124), "decided human_check by the app's endpoint  seconds=0.012"),
        (Answer("allow", "late", 0.3), "decided allow by on_failure (late)  seconds=0.3"),
    ],
)
def test_a_story_says_who_decided(run: Run, product: Core, answer: Answer, told: str) -> None:
    """The app's endpoint, or its policy, with the reason and the time that it took."""
    id_ = sent(product)
    product.journal.add(answer.as_note(Note(what=What.DECIDED, challenge=id_)))
    product.journal.hand_over()
    assert told in run("challenges", "show", id_)[1]


def test_all_are_exported_as_lines(run: Run, product: Core) -> None:
    """Each has the version of its form and the fields that the documentation lists, and no others."""
    id_ = sent(product)
    code, out, _ = run("challenges", "export", "--since", "1h")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert id_ in {one["id"] for one in records}
    assert [one["version"] for one in records] == [1, 1]
    text = (Path(__file__).parents[2] / "docs" / "history.md").read_text()
    assert all(f"`{name}`" in text for one in records for name in one)
    assert NUMBER[-6:] not in out
