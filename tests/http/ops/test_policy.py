"""The operators' HTTP API: a policy is checked, applied, followed, brought back; upstreams, silence."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from otp_service.bootstrap.configuration import Configuration
from otp_service.bootstrap.core import Core
from otp_service.delivery.account_health import AccountHealth
from otp_service.policy.followers import Report
from otp_service.store.polling import POLL_EVERY
from otp_service.upstream.port import Outcome, Reply, Verdict
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.conftest import OPS, PUBLISHABLE, SECRET
from tests.support.http_api import GOOD, NOTHING, NUMBER, Api, documented
from tests.support.numbers import crowd
from tests.support.patience import PATIENT_LIMITS, until
from tests.support.spine import together

pytest_plugins = ["tests.support.http_fixtures"]

SLOWER = GOOD.replace('wait = "5s"', 'wait = "25s"')


def members(answer: TestResponse) -> dict[str, Any]:
    """Return the members of a JSON answer."""
    found: dict[str, Any] = answer.json or {}
    return found


def ask(api: Api, method: str, path: str, body: object = None) -> TestResponse:
    """Call as the operator anna."""
    return api.call(method, f"/ops/{path}", key=OPS, body=NOTHING if body is None else body)


def apply(api: Api, text: str, **fields: object) -> TestResponse:
    """Apply a policy."""
    return ask(api, "PUT", "policy", {"text": text, "reason": "a test", **fields})


@pytest.fixture
def other(api: Api) -> Iterator[Core]:
    """Another process on the same store, which was given no policy of its own."""
    made = Core(
        Configuration(api.core.settings), threads=4, hash_slots=1, role="other", limits=PATIENT_LIMITS
    )
    yield made
    made.close()


# Who may call.

OPS_CALLS = [
    (path.format(number="1", old="1", new="1", key_id="0" * 10, app="web", challenge_id="1"), method.upper())
    for path, item in documented()["paths"].items()
    for method in item
    if path.startswith("/ops/")
]


@pytest.mark.parametrize(("path", "method"), OPS_CALLS)
def test_apps_keys_cannot_reach_operators_calls(api: Api, path: str, method: str) -> None:
    """Neither a publishable nor a secret key can, nor an unknown one, nor a request without a key."""
    statuses = [api.call(method, path, key=key).status_code for key in (PUBLISHABLE, SECRET, None, "ops_x")]
    assert statuses == [403, 403, 401, 401]
    assert api.kept() == {}


# Apply, look, bring back.


def test_a_policy_can_be_checked_applied_compared_and_rolled_back(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """Check, apply, show, history, diff and rollback agree, and name the operator."""
    assert ask(api, "GET", "policy").status_code == 404
    assert members(ask(api, "POST", "policy/check", {"text": GOOD})) == {"warnings": []}
    with caplog.at_level(logging.INFO):
        first, second = apply(api, GOOD, expected=0), apply(api, SLOWER, expected=1)
    assert [(members(one)["version"], members(one)["author"]) for one in (first, second)] == [
        (1, "anna"),
        (2, "anna"),
    ]
    audit = [record.fields for record in caplog.records if record.getMessage() == "policy.applied"]  # type: ignore[attr-defined]
    assert [(one["version"], one["author"], one["reason"]) for one in audit] == [
        (1, "anna", "a test"),
        (2, "anna", "a test"),
    ]
    assert members(ask(api, "GET", "policy"))["text"] == SLOWER
    assert members(ask(api, "GET", "policy/1"))["text"] == GOOD
    diff = members(ask(api, "GET", "policy/diff/1/2"))["diff"].splitlines()
    assert diff[:2] == ["--- version 1", "+++ version 2"]
    assert [line for line in diff[2:] if line[0] in "+-"] == [
        '-steps = [{ channel = "sms", upstream = "main", wait = "5s" }]',
        '+steps = [{ channel = "sms", upstream = "main", wait = "25s" }]',
    ]
    back = members(ask(api, "POST", "policy/rollback", {"reason": "too slow"}))
    assert (back["version"], back["reason"]) == (3, "rollback to 1: too slow")
    assert members(ask(api, "GET", "policy"))["text"] == GOOD
    listed = members(ask(api, "GET", "policy/history"))["versions"]
    assert [one["version"] for one in listed] == [3, 2, 1]
    assert all("text" not in one for one in listed)


def test_a_change_names_processes_that_lack_a_secret(api: Api) -> None:
    """A check and an apply say who would keep the policy before; a change of an app says so, too."""
    own = api.core.report()

    def report() -> None:
        api.core.followers.write("api a:1", own)
        api.core.followers.write("worker b:2", Report(own.version, own.newest, own.secrets[1:]))

    said = f"{own.secrets[0]} is missing in worker b:2: it keeps version {own.version} until it has it and gets SIGHUP"
    report()
    assert members(ask(api, "POST", "policy/check", {"text": GOOD})) == {"warnings": [said]}
    report()  # as they do every few seconds
    assert members(apply(api, GOOD))["warnings"] == [said]
    report()
    assert said in members(ask(api, "POST", "policy/rollback", {"reason": "x", "version": 1}))["warnings"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "policy/7", None),
        ("GET", "policy/diff/1/7", None),
        ("POST", "policy/rollback", {"reason": "x", "version": 7}),
        ("POST", "policy/rollback", {"reason": "x"}),
    ],
)
def test_a_version_that_does_not_exist_is_reported(api: Api, method: str, path: str, body: object) -> None:
    """404, and nothing changes."""
    apply(api, GOOD)
    assert ask(api, method, path, body).status_code == 404
    assert api.core.policies.head() == 1


@pytest.mark.parametrize("reason", ["", " ", "a\nb", "x" * 201])
def test_a_change_needs_a_reason_that_can_be_read(api: Api, reason: str) -> None:
    """422 with the field, and nothing changes."""
    answer = apply(api, GOOD, reason=reason)
    assert answer.status_code == 422
    assert [one["field"] for one in members(answer)["errors"]] == ["reason"]
    assert api.core.policies.head() == 0


def test_one_of_two_changes_to_the_same_version_wins(api: Api) -> None:
    """`expected` makes the second a conflict that names the version in force; exactly one of eight succeeds."""
    apply(api, GOOD)
    found = together(8, lambda _: apply(api, SLOWER, expected=1))
    statuses = [answer.status_code for answer in found if isinstance(answer, TestResponse)]
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 409, 503}  # more than a few at once are told to come again
    assert len(statuses) == 8
    late = apply(api, GOOD, expected=1)
    assert members(late)["code"] == "policy_conflict"
    assert "Version 2 of the policy is in force" in members(late)["detail"]
    assert (members(late)["version"], members(late)["warnings"]) == (2, [])
    assert api.core.policies.head() == 2


def test_the_policy_in_force_is_not_applied_again(api: Api) -> None:
    """The answer says that nothing changed, and who applied it first. A rollback to it is no change, either."""
    first = members(apply(api, GOOD, reason="first"))
    again = members(apply(api, GOOD, reason="again", expected=1))
    back = members(ask(api, "POST", "policy/rollback", {"version": 1, "reason": "back"}))
    assert first["changed"]
    assert again == back == {**first, "changed": False}
    assert len(members(ask(api, "GET", "policy/history"))["versions"]) == 1


BAD = [
    ("unknown key", ('brand = "Acme"', 'brand = "Acme"\nlogo = "x"'), "app.web.logo: unknown field"),
    (
        "unknown channel",
        ('channel = "sms"', 'channel = "pigeon"'),
        "route[0].steps[0].channel: must be one of",
    ),
    (
        "step without account",
        ('upstream = "main", ', ""),
        "route[0].steps[0].upstream: missing data for required field",
    ),
    ("unknown account", ('upstream = "main"', 'upstream = "mian"'), "there is no upstream mian"),
    (
        "duplicate names",
        (
            "[[route]]\n",
            '[[route]]\nname = "a"\nmatch = { country = ["US"] }\nSTEPS\n[[route]]\nname = "a"\n',
        ),
        "route[1].name: a is used twice, see route[0]",
    ),
    ("duplicate tables", ("[app.other]", "[app.web]"), "is not valid TOML"),
    (
        "wait beyond TTL",
        ('wait = "5s"', 'wait = "5m"'),
        "route[0].steps[0].wait: must be shorter than challenge.ttl",
    ),
    (
        "template without code",
        ("[[route]]", '[template.sms]\nen = "Hello"\n\n[[route]]'),
        "template.sms.en: ",
    ),
    (
        "template variable unknown",
        ("[[route]]", '[template.sms]\nen = "{code} for {name}"\n\n[[route]]'),
        "template.sms.en: ",
    ),
    (
        "WhatsApp template missing",
        ("[[route]]", '[upstream.main.whatsapp]\nsender = "91"\n\n[[route]]'),
        "upstream.main.whatsapp.template: missing data for required field",
    ),
    (
        "channel without table",
        ('channel = "sms"', 'channel = "voice"'),
        "route[0].steps[0]: upstream main has no voice table",
    ),
    (
        "no route for an allowed country",
        ("[[route]]\n", '[[route]]\nmatch = { country = ["US"] }\n'),
        "guard.countries.allow[0]: no route of app web serves DE",
    ),
    (
        "route never reached",
        ("[[route]]\n", "[[route]]\nSTEPS\n[[route]]\n"),
        "route[1]: is never reached, route[0] already serves everything it matches",
    ),
]
STEPS = 'steps = [{ channel = "sms", upstream = "main" }]'


@pytest.mark.parametrize(("change", "problem"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_an_invalid_policy_is_refused_with_its_line(api: Api, change: tuple[str, str], problem: str) -> None:
    """422 from check and apply alike; the version in force stays in force."""
    apply(api, GOOD)
    text = GOOD.replace('allow = ["*"]', 'allow = ["DE"]') if "DE" in problem else GOOD
    assert change[0] in text
    bad = text.replace(change[0], change[1].replace("STEPS", STEPS), 1)
    answers = [ask(api, "POST", "policy/check", {"text": bad}), apply(api, bad)]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert members(answers[0])["errors"] == members(answers[1])["errors"]
    rules = [one["rule"] for one in members(answers[0])["errors"]]
    assert [rule for rule in rules if problem in rule and "(line " in rule], rules
    assert (api.core.policies.head(), members(ask(api, "GET", "policy"))["text"]) == (1, GOOD)


def test_all_problems_of_a_policy_are_reported_at_once(api: Api) -> None:
    """Three mistakes in three tables give three lines."""
    bad = GOOD.replace('wait = "5s"', 'wait = "soon"').replace('kind = "mobtexting"', 'kind = "pigeon"')
    bad = bad.replace('brand = "Other"', 'brand = ""')
    rules = [one["rule"] for one in members(apply(api, bad))["errors"]]
    assert len(rules) == 3
    assert all("(line " in rule for rule in rules)


def test_a_template_of_two_parts_is_a_warning(api: Api) -> None:
    """A character outside GSM-7 splits the text into two parts: it works, but costs twice as much."""
    words = "кодъ {code} " + "очень длинный текст " * 4
    text = GOOD.replace("[[route]]", f'[template.sms]\nru = "{words}"\n\n[[route]]')
    applied, conflict = apply(api, text), apply(api, text + "#", expected=7)
    assert (conflict.status_code, members(conflict)["warnings"]) == (409, members(applied)["warnings"])
    (warning,) = [one for one in members(applied)["warnings"] if "in ru of app web" in one]
    assert "needs 2 parts" in warning


def test_a_policy_needs_the_secrets_of_this_process(api: Api) -> None:
    """A token that the process lacks is reported by name, instead of failing at the first send."""
    answer = apply(api, GOOD.replace("OTP_UPSTREAM_MAIN_TOKEN", "OTP_UPSTREAM_NEW_TOKEN"))
    assert answer.status_code == 422
    assert "OTP_UPSTREAM_NEW_TOKEN is required" in answer.text


# Following.


def test_another_process_follows_within_two_seconds(api: Api, other: Core) -> None:
    """It reads the version in force every second and needs no restart."""
    apply(api, GOOD)
    other.active.refresh()
    other.active.follow()
    assert other.active().version == 1
    apply(api, SLOWER)
    until(lambda: other.active().version == 2)
    assert POLL_EVERY <= 1
    assert other.policy.routes[0].steps[0].wait == 25


def test_a_process_that_lacks_a_secret_keeps_the_policy_it_can_run(
    api: Api, other: Core, caplog: pytest.LogCaptureFixture
) -> None:
    """It continues with the previous version, and its log says what is missing."""
    apply(api, GOOD)
    other.active.refresh()
    text = GOOD.replace("OTP_UPSTREAM_MAIN_TOKEN", "OTP_UPSTREAM_NEW_TOKEN")
    api.core.policies.apply(text, author="anna", reason="from another host")
    with caplog.at_level(logging.ERROR):
        other.active.refresh()
    assert other.active().version == 1
    assert "policy.unusable" in caplog.text


def test_a_send_sees_one_version_only(api: Api) -> None:
    """Two policies alternate a hundred times under eight senders; every plan matches the version that it names."""
    core, numbers = api.core, crowd()
    off = ("prefix", "conversion", "unproven")
    wide = "".join(f"[guard.{rule}]\nmode = 'off'\n" for rule in off)
    turns = [f"{GOOD}{wide}", f"{SLOWER}{wide}"]
    drawn = [[next(numbers) for _ in range(30)] for _ in range(8)]
    core.policies.apply(turns[0], author="a", reason="r")
    core.active.refresh()
    seen: list[tuple[int, int]] = []

    def act(place: int) -> int:
        if place == 8:
            for turn in range(100):
                core.policies.apply(turns[(turn + 1) % 2], author="a", reason="r")
                core.active.refresh()
            return 0
        for number in drawn[place]:
            active = core.active()
            caller = Caller(app=active.policy.apps["web"], active=active, request_id="0123456789abcdef")
            view = core.send.send(caller, SendRequest(to=number))
            challenge = core.store.challenges.read_challenge(view.challenge_id)[1]
            assert challenge
            seen.append((challenge.policy, challenge.plan.steps[0].wait))
        return 0

    assert together(9, act) == [0] * 9
    assert len(seen) == 240
    assert {wait for version, wait in seen if version % 2 == 1} <= {5}
    assert {wait for version, wait in seen if version % 2 == 0} <= {25}
    assert len({version for version, _ in seen}) > 2, "nothing changed while they sent"


# Upstreams, figures, silence.


def test_operators_see_an_open_breaker(api: Api) -> None:
    """Consecutive faults open the breaker of one channel; the answer shows it beside the balance."""
    states = members(ask(api, "GET", "upstreams"))["upstreams"][0]["breakers"]
    assert states == {"*": "closed", "sms": "closed"}
    health = AccountHealth(api.core.breakers, api.core.metrics, api.core.active)
    for _ in range(api.core.policy.upstreams["main"].tolerance):
        health.record_outcome("main", "sms", Outcome(Verdict.UNKNOWN, "timeout", retry_after=300))
    states = members(ask(api, "GET", "upstreams"))["upstreams"][0]["breakers"]
    assert states["*"] == "closed"
    assert states["sms"].startswith("open for ")


def test_a_suppression_can_be_read_and_lifted(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """The number is in the body, never in a path; the log says who lifted it and masks the number."""
    body = {"to": "(202) 555-0100", "country": "US"}
    assert members(ask(api, "POST", "suppressions/look", body)) == {"suppressed": False}
    assert members(ask(api, "POST", "suppressions/lift", body)) == {"lifted": False}
    api.core.replies.record_reply("main", Reply(channel="whatsapp", sender=NUMBER, text="Stop!"))
    found = members(ask(api, "POST", "suppressions/look", body))
    assert (found["suppressed"], found["channel"], found["by"]) == (True, "whatsapp", "the person")
    with caplog.at_level(logging.INFO):
        assert members(ask(api, "POST", "suppressions/lift", body)) == {"lifted": True}
    (record,) = [one for one in caplog.records if one.getMessage() == "suppression.lifted"]
    assert vars(record)["fields"]["by"] == "anna"
    assert NUMBER[2:] not in str(vars(record))
    assert api.send().status_code == 202
