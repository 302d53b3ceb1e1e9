"""Find: by number, reference or id to the story of a challenge, in words and with waits to scale."""

import json
import re
from typing import Any

import pytest

from otp_service.history.note import What
from otp_service.http.console.story_words import LEAST, LINE, sentence, told_steps
from otp_service.ops.stories import LIMIT
from otp_service.policy import Guard
from tests.support.console_pages import HOME, Console, console_of
from tests.support.http_api import NUMBER, Api

pytest_plugins = ["tests.support.http_fixtures"]


def opened(api: Api) -> tuple[Console, str]:
    """Open a challenge, and the console."""
    console = console_of(api)
    id_ = api.opened(NUMBER, reference="order-7")
    api.core.journal.hand_over()
    return console, id_


def test_one_box_takes_a_number_a_reference_and_ids(api: Api) -> None:
    """Each leads to the story at once; the number is in no address, and on no page."""
    console, id_ = opened(api)
    request_id = api.answers[-1].headers["X-Request-Id"]
    spelled = f"{NUMBER[:2]} ({NUMBER[2:5]}) {NUMBER[5:8]}-{NUMBER[8:]}"
    wide = NUMBER.translate({ord(char): ord(char) + 0xFEE0 for char in NUMBER})
    pasted = (
        f"\u202a{spelled}\u202c",
        f"tel:{NUMBER}",
        wide,
        wide[1:],
        f"\u200e{spelled[1:]}".replace("-", "\u2011"),
    )
    named = ("order-7", id_, request_id, f"  {id_} ")
    for asked in (NUMBER, NUMBER.removeprefix("+"), spelled, *pasted, *named):
        answer = console.post("find", q=asked)
        assert answer.headers.get("Location") == f"{HOME}challenges/{id_}", asked
    story = console.get(f"challenges/{id_}").text
    assert "A code was asked for" in story
    assert "order-7" in story
    seen = "".join(f"{answer.headers} {answer.text}" for answer in console.answers)
    assert NUMBER.removeprefix("+") not in seen


def test_what_is_not_kept_is_said(api: Api) -> None:
    """No result, a number that is none, an empty box, a story that is gone."""
    console, _ = opened(api)
    assert "Nothing is kept under this" in console.post("find", q="another").text
    assert "Nothing is kept under this" in console.post("find", q="+12025550199").text
    assert console.post("find", q="+999").status_code == 422
    assert console.post("find", q="").status_code == 422
    assert console.get("challenges/none").status_code == 404


def test_several_are_listed_newest_first_and_the_last_hour_unasked(api: Api) -> None:
    """Each with its state, and a link to its story."""
    console, first = opened(api)
    api.later(60)
    second = api.opened(NUMBER, reference="order-8")
    api.core.journal.hand_over()
    for page in (console.post("find", q=NUMBER).text, console.get("find").text):
        assert re.findall(r"/challenges/([\w-]+)", page) == [second, first]
        assert page.count("SMS queued") == 2


def test_a_page_that_does_not_show_all_says_so(api: Api) -> None:
    """An operator who reads the newest only must know it."""
    console = console_of(api)
    for place in range(LIMIT):
        api.send(f"+120255501{place:02d}", reference="order-9")
    api.core.journal.hand_over()
    assert "These are the newest" not in console.post("find", q="order-9").text
    api.send(reference="order-9")
    api.core.journal.hand_over()
    for page in (console.post("find", q="order-9").text, console.get("find").text):
        assert len(re.findall(r'/challenges/[\w-]+"', page)) == LIMIT
        assert f"These are the newest {LIMIT}." in page


def test_a_search_is_in_the_audit_trail_without_what_was_searched(api: Api) -> None:
    """Who, by which kind, and how many were found."""
    console, _ = opened(api)
    console.post("find", q=NUMBER)
    act = api.core.audit_trail.read()[0]
    assert (act.name, act.by, act.about) == ("challenges.searched", "anna", {"kind": "number", "found": 1})
    assert NUMBER not in json.dumps(console.get("audit").text)


def test_waits_are_drawn_to_scale() -> None:
    """All together fill the line; the shortest is still seen, and none is drawn where nothing was waited for."""
    notes = [{"what": "asked", "at": at} for at in (0, 0, 1, 30_000, 40_000)]
    assert [step.height for step in told_steps(notes)] == [0, 0, LEAST, LINE * 3 // 4, LINE // 4]
    assert [step.wait for step in told_steps(notes)][2:] == [0.001, 29.999, 10.0]
    assert told_steps([]) == []


@pytest.mark.parametrize("what", list(What))
def test_every_kind_of_note_has_a_sentence(what: What) -> None:
    """Also with nothing but its kind, and none says the word of the API."""
    _, text = sentence({"what": str(what), "at": 0})
    assert text[0].isupper()
    assert "_" not in text


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"origin": "server"}, "A code was asked for by a server"),
        ({"origin": "https://a.example"}, "A code was asked for by a page of https://a.example"),
        ({}, "A code was asked for"),
    ],
)
def test_who_asked_is_told(facts: dict[str, str], told: str) -> None:
    """A page by its origin, where the browser said it."""
    assert sentence({"what": "asked", "at": 0, **facts})[1] == told


@pytest.mark.parametrize(
    ("facts", "tone", "told"),
    [
        ({"result": "allow", "seconds": 0.0123}, "", "The app's endpoint decided after 12 ms: allow"),
        ({"result": "refuse", "seconds": 0.2}, "bad", "The app's endpoint decided after 200 ms: refuse"),
        (
            {"result": "allow", "reason": "late", "seconds": 0.3},
            "bad",
            "The app's endpoint gave no answer after 300 ms (late); its policy decided: allow",
        ),
    ],
)
def test_the_answer_of_an_apps_endpoint_is_told_apart_from_its_policys(
    facts: dict[str, Any], tone: str, told: str
) -> None:
    """With how long the person waited for it."""
    assert sentence({"what": "decided", "at": 0, **facts}) == (tone, told)


def test_a_fallback_is_told_with_its_reason() -> None:
    """In the words of people."""
    note = {
        "what": "fell_back",
        "at": 0,
        "channel": "sms",
        "following": "whatsapp",
        "reason": "not_delivered",
    }
    assert sentence(note) == ("bad", "SMS was given up: not delivered; WhatsApp follows")


def test_a_block_says_what_its_rule_counted(api: Api) -> None:
    """The same words as in a story."""
    console = console_of(api)
    assert [api.send().status_code for _ in range(2)] == [202, 429]
    assert "<td>1 counted, where 1 is the limit in 30 s: refuse</td>" in console.get("blocks").text


def test_the_guard_explains_a_pin_in_words(api: Api) -> None:
    """A rule that counts nothing never shows a counter of zero."""
    console = console_of(api)
    console.post("pins", kind="number", what="refuse", subject=NUMBER, reason="pumping")
    page = console.post("blocks/explain", to=NUMBER).text
    assert "<b>pin_destination</b>: a pin refuses this number or its prefix: `pins list` says" in page
    assert "of 0" not in page


def test_a_channel_is_switched_off_for_countries_only(api: Api) -> None:
    """The field is refused with a sentence beside it, and the routes stay."""
    console = console_of(api)
    text = api.core.policies.newest().text  # type: ignore[union-attr]
    answer = console.post("routes", act="off", channel="sms", country="XX", text=text, expected="1")
    assert answer.status_code == 422
    assert (
        '<span class="chip bad" id="country-refused">Country must be the two letters of a country'
        in answer.text
    )
    assert "mistake</span>" not in answer.text


def test_a_review_of_nothing_asks_for_no_reason(api: Api) -> None:
    """There is nothing to apply."""
    console = console_of(api)
    text = api.core.policies.newest().text  # type: ignore[union-attr]
    page = console.post("routes", act="review", text=text, expected="1").text
    assert "The texts are equal." in page
    assert 'name="reason"' not in page
    assert ">Apply</button>" not in page
    assert ">Apply</button>" in console.post("routes", act="review", text=text + "# x\n", expected="1").text


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (
            {"rule": "countries"},
            "country GB is not among the countries that are allowed: guard.countries.allow in the policy",
        ),
        ({"rule": "suppression"}, "this number asked for no more messages"),
        (
            {"rule": "address", "counter": 61.0, "threshold": 60.0, "window": 3600.0},
            "61 counted, where 60 is the limit in 1 h",
        ),
        (
            {"rule": "conversion", "counter": 0.125, "threshold": 0.2, "window": 0},
            "0.12 counted, where 0.20 is the limit",
        ),
    ],
)
def test_a_finding_of_the_guard_is_told_in_words(facts: dict[str, Any], told: str) -> None:
    """What counts says its count and its limit; what counts nothing says what it refuses."""
    [step] = told_steps([{"what": "refused", "at": 0, **facts}], "GB")
    assert step.more == told


@pytest.mark.parametrize("rule", sorted(Guard().rules()))
def test_every_rule_has_words_without_a_counter(rule: str) -> None:
    """No rule shows a count of which nothing is known."""
    [step] = told_steps([{"what": "human_check", "at": 0, "rule": rule, "counter": 1, "threshold": 0}], "GB")
    assert " " in step.more
    assert "of 0" not in step.more


def test_a_refused_send_is_told_in_words_on_the_page_of_its_story(api: Api) -> None:
    """In the same words as when the guard is asked about a number."""
    console = console_of(api)
    console.post("pins", kind="number", what="refuse", subject=NUMBER, reason="pumping")
    assert api.send(NUMBER).status_code != 202
    api.core.journal.hand_over()
    console.post("find", q=NUMBER)
    story = console.client.get(console.answers[-1].headers["Location"]).text
    assert "a pin refuses this number or its prefix: `pins list` says who set it and why" in story


def test_a_text_is_marked_as_not_applied_only_if_it_differs(api: Api) -> None:
    """Whatever button was pressed; browsers send CRLF."""
    console = console_of(api)
    text = api.core.policies.newest().text  # type: ignore[union-attr]
    for act in ("check", "simulate", "up 0 0"):
        same = console.post("routes", act=act, text=text.replace("\n", "\r\n"), expected="1", to=NUMBER)
        assert "not applied" not in same.text, act
        assert "version 1 in force" in same.text, act
    assert "not applied" in console.post("routes", act="check", text=f"{text}\n", expected="1").text
