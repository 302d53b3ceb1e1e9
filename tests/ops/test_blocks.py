"""Blocks, pins and recycled numbers as operators manage them over HTTP; the log says who did it."""

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from werkzeug.test import TestResponse

from otp_service import errors
from otp_service.durations import MINUTE
from otp_service.policy import parse
from tests.conftest import OPS, PUBLISHABLE
from tests.support.http_api import GOOD, NOTHING, NUMBER, SPLIT, Api

pytest_plugins = ["tests.support.http_fixtures", "tests.support.command_fixtures"]

ADDRESS = "192.0.2.1"


def ask(api: Api, method: str, path: str, body: object = NOTHING) -> TestResponse:
    """Call as the operator anna."""
    return api.call(method, f"/ops/{path}", key=OPS, body=body)


def told(answer: TestResponse, status: int = 200) -> dict[str, Any]:
    """Return the members of an answer."""
    assert answer.status_code == status, answer.text
    assert answer.json
    found: dict[str, Any] = answer.json
    return found


def written(caplog: pytest.LogCaptureFixture, name: str) -> list[Mapping[str, Any]]:
    """Return the log's entries of an event."""
    return [record.fields for record in caplog.records if record.getMessage() == name]  # type: ignore[attr-defined]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture the log."""
    caplog.set_level(logging.INFO)
    return caplog


# Over HTTP.


def test_a_block_is_listed_explained_and_lifted(api: Api, log: pytest.LogCaptureFixture) -> None:
    """It shows the rule, the value, its span and what it refused; once lifted, the number can send again."""
    began = api.core.store.facts.time()
    api.opened()
    assert [api.send().status_code for _ in range(3)] == [429] * 3
    [block] = told(ask(api, "GET", "blocks"))["blocks"]
    assert (block["rule"], block["subject"], block["level"]) == (
        "cooldown",
        "+1********00 (server)",
        "refuse",
    )
    assert (block["active"], block["on"], block["refused"]) == (True, True, 3)
    assert began <= block["since"] < block["until"] <= began + MINUTE * 1000
    explained = told(ask(api, "POST", "blocks/explain", {"to": NUMBER}))
    assert (explained["to"], explained["verdict"], explained["blocks"]) == ("+1********00", "refuse", [block])
    assert [one["rule"] for one in explained["findings"]] == ["cooldown"]
    assert told(ask(api, "POST", "blocks/lift", {"id": block["id"], "reason": "her phone was off"})) == {
        "done": True
    }
    [entry] = written(log, "block.lifted")
    assert dict(entry) == {
        "rule": "cooldown",
        "subject": "+1********00 (server)",
        "by": "anna",
        "reason": "her phone was off",
    }
    assert told(ask(api, "GET", "blocks"))["blocks"] == []
    assert told(ask(api, "POST", "blocks/explain", {"to": NUMBER}))["verdict"] == "allow"
    assert api.send().status_code == 202


def test_the_log_names_no_address_and_no_session(api: Api, log: pytest.LogCaptureFixture) -> None:
    """The operator sees the subject of a block; the log shows only its kind and app."""
    areas = (201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215)
    numbers = [f"+1{area}5550100" for area in areas]
    statuses = [api.send(number, session="the-session").status_code for number in numbers[:6]]
    for number in numbers[6:13]:
        api.send(number, key=PUBLISHABLE)
    assert statuses == [202] * 5 + [429]
    blocks = {one["rule"]: one for one in told(ask(api, "GET", "blocks"))["blocks"]}
    assert {rule: one["subject"] for rule, one in blocks.items()} == {
        "session": "web the-session",
        "address": ADDRESS,
    }
    for block in blocks.values():
        told(ask(api, "POST", "blocks/lift", {"id": block["id"], "reason": "x"}))
    shown = {entry["rule"]: entry["subject"] for entry in written(log, "block.lifted")}
    assert shown == {"session": "web (a session)", "address": "192.*"}


def test_a_block_that_ended_is_told_for_a_day(api: Api) -> None:
    """It is listed as not active."""
    api.opened()
    api.send()
    api.later(31)
    assert [block["active"] for block in told(ask(api, "GET", "blocks"))["blocks"]] == [False]
    assert told(ask(api, "POST", "blocks/explain", {"to": NUMBER}))["verdict"] == "allow"


COOLDOWN = '[guard.cooldown]\nmode = "{}"\n'
OF_APP = '[app.{}.guard.cooldown]\nmode = "{}"\n'


@pytest.mark.parametrize(
    ("rules", "on", "active"),
    [
        ("", True, True),
        (COOLDOWN.format("off"), True, False),
        (COOLDOWN.format("watch"), False, True),
        (OF_APP.format("web", "off"), True, True),
        (OF_APP.format("web", "off") + OF_APP.format("other", "off"), True, False),
        (COOLDOWN.format("off") + OF_APP.format("other", "enforce"), True, True),
    ],
)
def test_a_block_of_a_rule_that_was_set_off_is_not_active(
    api: Api, rules: str, *, on: bool, active: bool
) -> None:
    """It refuses nothing. A counter that several apps share is in use while one of them has the rule."""
    api.opened()
    api.send()
    policy = parse(GOOD + rules)
    [block] = api.core.blocks.read_all(policy)
    assert (block["on"], block["active"]) == (on, active)
    explained = api.core.blocks.explain(policy, NUMBER)
    assert (explained["verdict"] == "refuse") == (policy.guard_of("web").cooldown.mode == "enforce")


def test_a_block_of_an_apps_own_budget_follows_that_app(api: Api) -> None:
    """Another app's rules do not count."""
    for last in range(6):
        api.send(f"+1415555010{last}", session="the-session")
    rules = '[app.{}.guard.session]\nmode = "off"\n'
    for app, active in (("other", True), ("web", False)):
        [block] = api.core.blocks.read_all(parse(GOOD + rules.format(app)))
        assert (block["rule"], block["active"]) == ("session", active)


@pytest.mark.parametrize(
    "id_",
    [
        "cooldown:number:AAAAAAAAAAAAAAAAAAAAAA",
        "nothing:number:AAAA",
        "number",
        "a:b:c:d",
        "countries:x:y",
        "::",
    ],
)
def test_what_names_no_block_is_not_lifted(api: Api, log: pytest.LogCaptureFixture, id_: str) -> None:
    """A mistyped id changes nothing."""
    api.opened()
    kept = api.kept()
    problem = told(ask(api, "POST", "blocks/lift", {"id": id_, "reason": "x"}), 404)
    assert problem["code"] == errors.NotFound.code
    assert api.kept() == kept
    assert written(log, "block.lifted") == []


def test_a_block_that_found_no_room_in_the_list_is_lifted_all_the_same(api: Api) -> None:
    """`explain` still shows it."""
    api.opened()
    api.send()
    for key in api.store.scan_iter("*:guard}:blocks"):
        api.store.delete(key)
    assert told(ask(api, "GET", "blocks"))["blocks"] == []
    [block] = told(ask(api, "POST", "blocks/explain", {"to": NUMBER}))["blocks"]
    told(ask(api, "POST", "blocks/lift", {"id": block["id"], "reason": "x"}))
    assert api.send().status_code == 202


@pytest.mark.parametrize(("to", "country", "route"), [(NUMBER, "US", 0), ("+447911123456", "GG", None)])
def test_the_country_and_the_route_of_a_number_are_explained(
    api: Api, to: str, country: str, route: int | None
) -> None:
    """+44 7911 123456 looks British and is Guernsey's: without its route nothing leaves, whatever the guard allows."""
    policy = parse(GOOD.replace("[[route]]", '[[route]]\nmatch = { country = ["GB", "US"] }'))
    explained = api.core.blocks.explain(policy, to)
    assert (explained["country"], explained["route"]) == (country, route)


def test_the_split_of_a_numbers_route_is_explained(api: Api) -> None:
    """Some of the people get the steps in another order, which no single send shows."""
    explained = api.core.blocks.explain(parse(SPLIT), NUMBER)
    assert (explained["steps"], explained["split"]) == (
        ["sms", "voice"],
        {"share": 0.5, "order": ("voice", "sms")},
    )
    assert told(ask(api, "POST", "blocks/explain", {"to": NUMBER}))["split"] is None


def test_a_send_is_explained_as_its_app_and_address_would_meet_it(api: Api) -> None:
    """An explanation charges nothing."""
    for last in range(6):
        assert api.send(f"+1415555010{last}", key=PUBLISHABLE).status_code == 202
    kept = api.kept()
    anywhere = {"to": "+14155550109", "app": "web", "purpose": "login"}
    assert told(ask(api, "POST", "blocks/explain", anywhere))["verdict"] == "allow"
    here = told(ask(api, "POST", "blocks/explain", {**anywhere, "address": ADDRESS}))
    assert here["verdict"] == "human_check"
    [finding] = here["findings"]
    assert (finding["rule"], finding["value"], finding["limit"], finding["seconds"]) == ("address", 6, 6, 600)
    assert {"rule": "address", "mode": "enforce"}.items() <= here["rules"][0].items()
    assert api.kept() == kept


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"to": "+1202555010"}, "invalid_number", "to"),
        ({"to": NUMBER, "app": "none"}, "invalid_request", "app"),
        ({"to": NUMBER, "address": "example.com"}, "invalid_request", "address"),
        ({"to": NUMBER, "address": "1.2.3"}, "invalid_request", "address"),
        ({"to": NUMBER, "address": "1.2.3.256"}, "invalid_request", "address"),
        ({"to": NUMBER, "address": "2001:db8"}, "invalid_request", "address"),
        ({"to": NUMBER, "more": 1}, "invalid_request", "more"),
    ],
)
def test_a_bad_question_names_the_field(api: Api, body: dict[str, Any], code: str, field: str) -> None:
    """And the rule."""
    problem = told(ask(api, "POST", "blocks/explain", body), 422)
    assert problem["code"] == code
    assert [one["field"] for one in problem["errors"]] == [field]


PINS = [
    ("number", "+1 202 555 0100", "+1********00", "+1********00"),
    ("prefix", "+1202", "+1202", "+1202"),
    ("address", ADDRESS, ADDRESS, "192.*"),
    ("address", "2001:db8::7", "2001:db8::/64", "2001:*"),
    ("address", "2001:db8:0::/64", "2001:db8::/64", "2001:*"),
]


@pytest.mark.parametrize(("kind", "subject", "shown", "logged"), PINS)
def test_a_pin_is_set_listed_and_taken_away(
    api: Api, log: pytest.LogCaptureFixture, kind: str, subject: str, shown: str, logged: str
) -> None:
    """The log names the operator; a number is masked in the list and in the log."""
    body = {"kind": kind, "subject": subject, "what": "refuse", "reason": "a test"}
    assert told(ask(api, "POST", "pins", body)) == {"done": True}
    [pin] = told(ask(api, "GET", "pins"))["pins"]
    assert (pin["kind"], pin["subject"], pin["what"], pin["until"]) == (kind, shown, "refuse", None)
    assert (pin["by"], pin["reason"]) == ("anna", "a test")
    away = {"kind": kind, "subject": subject, "reason": "over"}
    assert told(ask(api, "POST", "pins/lift", away)) == {"done": True}
    assert told(ask(api, "POST", "pins/lift", away), 404)["code"] == errors.NotFound.code
    assert told(ask(api, "GET", "pins"))["pins"] == []
    [made], [taken] = written(log, "pin.set"), written(log, "pin.taken")
    whose = {"kind": kind, "subject": logged, "by": "anna"}
    assert dict(made) == {**whose, "what": "refuse", "reason": "a test"}
    assert dict(taken) == {**whose, "reason": "over"}


def test_an_admin_may_see_whole_numbers_and_is_written_down(api: Api, log: pytest.LogCaptureFixture) -> None:
    """The act says who, why and how many numbers, never which."""
    for kind, subject in (("number", NUMBER), ("prefix", "+1202")):
        ask(api, "POST", "pins", {"kind": kind, "subject": subject, "what": "allow", "reason": "a test"})
    shown = told(ask(api, "POST", "pins/show", {"reason": "a complaint"}))["pins"]
    assert {pin["subject"] for pin in shown} == {NUMBER, "+1202"}
    [looked] = written(log, "pins.shown")
    assert dict(looked) == {"numbers": 1, "by": "anna", "reason": "a complaint"}
    assert api.core.audit_trail.read()[0].name == "pins.shown"
    assert told(ask(api, "POST", "pins/show", {}), 422)["errors"][0]["field"] == "reason"


def test_pins_decide_who_is_let_in(api: Api) -> None:
    """A refused prefix gets no codes, except for a number with a pin of its own; a pin ends after its hours."""

    def pin(kind: str, subject: str, what: str, **more: int) -> None:
        told(
            ask(api, "POST", "pins", {"kind": kind, "subject": subject, "what": what, "reason": "x", **more})
        )

    pin("prefix", "+1202", "refuse", hours=1)
    assert api.send().status_code == 422
    pin("number", NUMBER, "allow")
    assert [api.send().status_code for _ in range(5)] == [202] * 5
    assert api.send("+12025550111").status_code == 422
    api.later(3601)
    assert api.send("+12025550111").status_code == 202
    assert [one["kind"] for one in told(ask(api, "GET", "pins"))["pins"]] == ["number"]
    pin("address", ADDRESS, "refuse")
    assert api.send("+12025550122", key=PUBLISHABLE).status_code == 429


@pytest.mark.parametrize(
    ("kind", "subject", "field"),
    [
        ("number", "+1202", "subject"),
        ("prefix", "1202", "subject"),
        ("prefix", "+0", "subject"),
        ("prefix", "+123456789012", "subject"),
        ("address", "example.com", "subject"),
        ("address", "999.1.1.1", "subject"),
        ("address", "203.0.113.0/24", "subject"),
        ("address", "203.0.113.1/32", "subject"),
        ("address", "2001:db8::/32", "subject"),
        ("address", "2001:db8::/64/64", "subject"),
        ("street", "x1", "kind"),
    ],
)
def test_a_bad_pin_names_the_field_and_keeps_nothing(api: Api, kind: str, subject: str, field: str) -> None:
    """This holds whether it is set or removed."""
    for path, more in (("pins", {"what": "allow"}), ("pins/lift", {})):
        body = {"kind": kind, "subject": subject, "reason": "x", **more}
        problem = told(ask(api, "POST", path, body), 422)
        assert [one["field"] for one in problem["errors"]] == [field]
    assert api.kept() == {}


def test_a_whole_number_is_no_prefix(api: Api, log: pytest.LogCaptureFixture) -> None:
    """It would decide about nobody, and stand in the clear in the list, the log and the store."""
    body = {"kind": "prefix", "subject": NUMBER, "what": "refuse", "reason": "x"}
    [error] = told(ask(api, "POST", "pins", body), 422)["errors"]
    rule = "must be the beginning of a number, not a whole one: pin that as a number"
    assert error == {"field": "subject", "rule": rule}
    assert (api.kept(), written(log, "pin.set")) == ({}, [])
    assert told(ask(api, "POST", "pins", body | {"subject": NUMBER[:-1]})) == {"done": True}
    assert api.send().status_code == 422


def test_a_short_number_that_begins_longer_ones_is_a_prefix(api: Api) -> None:
    """As in Germany, where +49 30 1234 is one, and the beginning of many."""
    body = {"kind": "prefix", "subject": "+49301234", "what": "refuse", "reason": "x"}
    assert api.send("+49 30 123499").status_code == 202
    assert told(ask(api, "POST", "pins", body)) == {"done": True}
    assert api.send("+49 30 123456").status_code == 422


def test_recycled_numbers_are_taken_in(api: Api, log: pytest.LogCaptureFixture) -> None:
    """Invalid numbers are counted; a login with a recycled number is refused, a signup is not."""
    body = {"numbers": [NUMBER, "+12025550111", "nobody"], "reason": "the regulator's list"}
    assert told(ask(api, "POST", "numbers/recycled", body)) == {"taken": 2, "no_numbers": 1}
    [entry] = written(log, "numbers.recycled")
    assert dict(entry) == {"taken": 2, "wrong": 1, "by": "anna", "reason": "the regulator's list"}
    assert api.send(purpose="login").status_code == 422
    assert api.send(purpose="signup").status_code == 202
