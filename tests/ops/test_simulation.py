"""Simulation: it explains a send in full, and costs nothing."""

from typing import Any

import pytest

from otp_service import policy
from otp_service.errors import InvalidNumber
from otp_service.guard.decision import Decision, Finding
from otp_service.ops.simulation import Question, simulate
from tests.conftest import OPS, POLICY
from tests.support.http_api import NUMBER, Api

pytest_plugins = ["tests.support.http_fixtures"]

TEXT = POLICY.replace("UPSTREAM/", "https://portal.example/").replace(
    '[[route]]\nsteps = [{ channel = "sms", upstream = "main", wait = "5s" }]',
    """[upstream.second]
kind = "mobtexting"
base_url = "https://portal.example/api/v2/"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
sms = { service = "T", sender = "ACMEIN" }
voice = { bridge = "918045000001" }

[template.sms]
th = "รหัสยืนยันของคุณสำหรับ {brand} คือ {code} ใช้ได้ {minutes} นาที โปรดอย่าบอกรหัสนี้แก่ผู้ใดเป็นอันขาด"

[guard.number]
refuse = ["3/10m"]

[guard.address]
refuse = ["9/h"]
human_check = []

[[route]]
name = "spain"
match = { country = ["ES"] }
steps = [{ channel = "sms", upstream = "main" }]

[[route]]
name = "payments"
match = { purpose = ["payment"], app = ["other"] }
steps = [{ channel = "sms", upstream = "main" }]

[[route]]
match = { country = ["US", "DE"] }
steps = [
  { channel = "sms", upstream = { main = 3, second = 1 }, wait = "auto", if = "mobile" },
  { channel = "voice", upstream = "second", wait = "40s", until = "accepted" },
]
""",
)
RULES = policy.parse(TEXT)
OTHER = "+14155550199"
DECISION = Decision(verdict="allow", now=0)


def ask(learned: Any = None, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - those of Question
    """Simulate a send."""
    question = Question(**{"to": NUMBER, **fields})
    return simulate(RULES, question, lambda _channel, _country: learned, lambda _rules, _asked: DECISION)


def test_it_says_which_route_and_why_no_earlier_one() -> None:
    """Each route that does not apply is named with the part of its match that does not fit."""
    route = ask()["route"]
    assert (route["place"], route["match"]) == (2, {"country": ["US", "DE"]})
    assert route["passed_over"] == [
        {"place": 0, "because": {"country": ["ES"]}},
        {"place": 1, "because": {"app": ["other"], "purpose": ["payment"]}},
    ]
    assert ask(app="other", purpose="payment")["route"]["name"] == "payments"


def test_it_shows_the_split_that_may_change_the_order() -> None:
    """The steps are shown as written, the split beside the route; a chosen channel leaves nothing to draw."""
    split = 'split = { share = 0.1, order = ["voice", "sms"] }\nmatch = { country = ["US", "DE"] }'
    rules = policy.parse(TEXT.replace('match = { country = ["US", "DE"] }', split))

    def routed(**fields: Any) -> Any:  # noqa: ANN401 - those of Question
        answer = simulate(rules, Question(to=NUMBER, **fields), lambda *_: None, lambda *_: DECISION)
        assert answer["steps"][0]["channel"] == fields.get("channel", "sms")
        return answer["route"].get("split")

    assert routed() == {"share": 0.1, "order": ("voice", "sms")}
    assert routed(channel="voice") is None
    assert "split" not in ask()["route"]


def test_it_shows_every_step_with_accounts_condition_and_success() -> None:
    """The steps are in the order of their tries; a channel that the person chose comes first."""
    first, second = ask()["steps"]
    assert (first["channel"], first["weights"], first["if"]) == ("sms", {"main": 3, "second": 1}, "mobile")
    assert (second["upstreams"], second["wait"], second["until"]) == (["second"], 40, "accepted")
    assert second["wait_from"] == "set in the policy"
    chosen = ask(channel="voice")
    assert [step["channel"] for step in chosen["steps"]] == ["voice", "sms"]
    assert chosen["challenge"]["chosen"] is True


@pytest.mark.parametrize(
    ("learned", "wait", "source"),
    [
        (None, 60, "too few verifications"),
        (21.2, 22, "within 21 s"),
        (500, 60, "500 s"),
        (0.5, 10, "kept in"),
    ],
)
def test_it_says_where_a_wait_comes_from(learned: float | None, wait: int, source: str) -> None:
    """Learned waits stay within the policy's bounds; without enough figures the upper one counts."""
    step = ask(learned)["steps"][0]
    low, high = RULES.challenge.auto_wait
    assert step["wait"] == max(low, min(high, wait)) if learned is not None else step["wait"] == high
    assert source in step["wait_from"]


def test_it_shows_text_language_and_parts() -> None:
    """The text is as it would be sent, with zeros for the code; Unicode halves the size of a part."""
    step = ask(locale="th")["steps"][0]
    assert (step["language"], step["unicode"], step["parts"]) == ("th", True, 2)
    assert "000000" in step["text"]
    assert "Acme" in step["text"]
    assert ask(locale="en")["steps"][0]["parts"] == 1
    assert "parts" not in ask()["steps"][1]


def test_it_shows_the_lines_for_the_page_and_app_that_ask() -> None:
    """Exactly what leaves: the host of the page, and the hash of the Android app."""
    second = RULES.apps["web"].origins[0]
    text = ask(origin=second, app_hash="FA+9qCX9VSu")["steps"][0]["text"]
    assert text.split("\n")[1:] == ["FA+9qCX9VSu", f"@{RULES.apps['web'].host(second)} #000000"]


def test_it_shows_the_registered_text_alone_and_every_text_under_its_id() -> None:
    """With lines = "off" nothing is added; another app's text under the same id is shown beside it."""
    registered = TEXT.replace(
        '{ channel = "sms", upstream = { main = 3, second = 1 },',
        '{ channel = "sms", upstream = "second", lines = "off",',
    ).replace(
        'sms = { service = "T", sender = "ACMEIN" }\nvoice',
        'sms = { service = "T", sender = "ACMEIN", template_ids = [{ id = "7", purpose = "login", '
        'language = "en" }] }\nvoice',
    )
    rules = policy.parse(registered)
    question = Question(to=NUMBER, app_hash="FA+9qCX9VSu")
    step = simulate(rules, question, lambda *_: None, lambda *_: DECISION)["steps"][0]
    assert step["text"] == "000000 is your Acme code. It is valid for 5 minutes. Never share it."
    (one,) = step["registered"]
    assert (one["upstream"], one["template_id"]) == ("second", "7")
    assert one["texts"] == [
        f"{{code}} is your {app.brand} code. It is valid for {{minutes}} minutes. Never share it."
        for app in rules.apps.values()
    ]


def test_it_shows_the_lines_that_may_end_a_registered_text() -> None:
    """With lines, several texts leave under one id: of each host of the app, and with an Android app's hash."""
    registered = TEXT.replace('"ACMEIN" }\nvoice', '"ACMEIN", template_id = "7" }\nvoice')
    simulated = simulate(policy.parse(registered), Question(to=NUMBER), lambda *_: None, lambda *_: DECISION)
    (one,) = [each for each in simulated["steps"][0]["registered"] if each["template_id"] == "7"]
    host = RULES.apps["web"].host(None)
    ends = {text.partition("Never share it.")[2] for text in one["texts"] if "is your Acme code" in text}
    assert ends >= {f"\n\n@{host} #{{code}}", f"\n{{app_hash}}\n@{host} #{{code}}"}


def test_it_shows_what_the_guard_would_charge() -> None:
    """Every rule that applies is shown, with what it would decide now."""
    found = ask()
    assert [one["rule"] for one in found["guard"]] == [
        *(
            "address",
            "app",
            "money",
            "everything",
            "guessing",
            "country",
            "unproven",
            "conversion",
            "prefix",
        ),
        *("suppression", "recycled", "failures", "consecutive", "cooldown", "number"),
    ]
    assert found["guard"][0] == {"rule": "address", "mode": "enforce", "limits": ["9 in 3600 s: refuse"]}
    assert found["guard"][-1] == {"rule": "number", "mode": "enforce", "limits": ["3 in 600 s: refuse"]}
    assert found["verdict"] == {"verdict": "allow", "findings": []}


def test_what_the_guard_would_refuse_is_told_with_its_rule() -> None:
    """The route exists, but nothing would be sent."""
    full = Finding(rule="number", level="refuse", value=3, limit=3, seconds=600, pause=1000, over=0, on=True)
    refusal = Decision(verdict="refuse", now=0, findings=(full,))
    answer = simulate(
        RULES, Question(to=NUMBER), lambda _channel, _country: None, lambda _rules, _asked: refusal
    )
    assert answer["problem"] == "the guard: refuse, by number"
    assert answer["verdict"]["findings"][0]["rule"] == "number"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"to": "+447400123456"}, "no_route: "),
        ({"channel": "rcs"}, "channel_not_available: "),
        ({"app": "nobody"}, "there is no app nobody"),
    ],
)
def test_a_refusal_is_part_of_the_answer(fields: dict[str, str], problem: str) -> None:
    """The answer has the error of the send."""
    answer = ask(**fields)
    assert answer["problem"].startswith(problem)
    assert answer["steps"] == []


def test_a_number_without_route_is_told_why_each_is_not_for_it() -> None:
    """All routes are listed with their matches."""
    assert [one["place"] for one in ask(to="+447400123456")["passed_over"]] == [0, 1, 2]


def test_what_is_no_number_is_an_error() -> None:
    """There is nothing to simulate."""
    with pytest.raises(InvalidNumber):
        ask(to="12")


def test_the_number_is_masked() -> None:
    """An answer may be pasted into a ticket."""
    answer = ask()
    assert NUMBER not in str(answer)
    assert answer["number"] == {"to": "+1********00", "country": "US", "type": answer["number"]["type"]}


def test_it_sends_charges_and_counts_nothing(api: Api) -> None:
    """The store is the same before and after, with the policy in force and with a text to try."""
    api.opened()
    before = api.kept()
    for body in ({"to": OTHER}, {"to": OTHER, "text": POLICY.replace("UPSTREAM/", "https://x.example/")}):
        answer = api.call("POST", "/ops/policy/simulate", key=OPS, body=body)
        assert answer.status_code == 200
        assert (answer.json or {})["problem"] is None
    assert api.kept() == before


def test_a_text_to_try_is_checked_first(api: Api) -> None:
    """A policy that could not be applied cannot be simulated."""
    answer = api.call("POST", "/ops/policy/simulate", key=OPS, body={"to": NUMBER, "text": "x = 1"})
    assert (answer.status_code, (answer.json or {})["code"]) == (422, "policy_invalid")
