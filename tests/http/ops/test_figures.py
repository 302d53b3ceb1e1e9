"""GET /ops/figures and GET /ops/advice: true to what was done, as JSON and as CSV, with clear refusals."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from otp_service.ops.figures import BY_RULE, FILTER_RULE, TIME_RULE
from tests.conftest import OPS
from tests.support.http_api import SPLIT, Api, close, make_api, wrong
from tests.support.http_calls import members
from tests.support.numbers import crowd
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ["tests.support.http_fixtures"]


def figures(api: Api, query: str = "", **options: Any) -> TestResponse:  # noqa: ANN401 - those of `call`
    """Ask for figures of all that this process did."""
    api.core.journal.hand_over()
    return api.call("GET", f"/ops/figures{query}", key=OPS, **options)


def test_figures_are_true_to_a_few_journeys(live: Api) -> None:
    """Three are asked for, of which one is refused; one code is typed wrong, then right; one is never typed."""
    assert members(figures(live))["rows"] == []
    first, code = live.sent()
    live.verify(first, wrong(code))
    live.verify(first, code)
    other = next(crowd())
    live.sent(to=other)
    assert live.send(to=other).status_code == 429
    found = members(figures(live, "?by=country,channel"))
    assert {what: found["total"][what] for what in ("asked", "let_in", "refused", "sent", "verified")} == {
        "asked": 3,
        "let_in": 2,
        "refused": 1,
        "sent": 2,
        "verified": 1,
    }
    assert found["total"]["reasons"]["refused"] == {"cooldown": 1}
    assert found["total"]["money"] == pytest.approx(2 * live.core.policy.guard.money.price("sms", "US"))
    assert (found["total"]["first_sent"], found["total"]["first_verified"]) == (2, 1)
    assert found["total"]["p90_seconds"] is not None
    for by in ("time", "app", "country", "channel", "account", "route", "arm"):
        rows = members(figures(live, f"?by={by}"))["rows"]
        assert {what: sum(row[what] for row in rows) for what in ("asked", "sent", "verified")} == {
            "asked": 3,
            "sent": 2,
            "verified": 1,
        }
    only = members(figures(live, "?by=channel&filter=country:US,channel:sms"))
    assert [row["channel"] for row in only["rows"]] == ["sms"]


def test_figures_are_shown_as_csv(live: Api) -> None:
    """By the query or by Accept; the query decides."""
    live.sent()
    asked = figures(live, "?by=channel", headers={"Accept": "text/csv"})
    assert asked.mimetype == "text/csv"
    header, *rows = csv.reader(io.StringIO(asked.text))
    sums = {name: sum(float(row[place] or 0) for row in rows) for place, name in enumerate(header) if place}
    assert (header[0], sums["asked"], sums["sent"]) == ("channel", 1, 1)
    assert figures(live, "?by=channel&format=csv").text == asked.text
    assert figures(live, "?format=json", headers={"Accept": "text/csv"}).mimetype == "application/json"


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("from=yesterday", "from", TIME_RULE),
        ("from=2026-13-01", "from", TIME_RULE),
        ("to=5m", "to", TIME_RULE),
        ("from=35d", "from", "must be today or one of the 34 days before (UTC)"),
        ("from=1h&to=2h", "from", "must be before to"),
        ("from=2100-01-01", "from", "must be before now"),
        ("from=2100-01-01&to=2100-01-02", "from", "must be before now"),
        ("by=colour", "by", BY_RULE),
        ("by=app,app", "by", BY_RULE),
        ("filter=time:1", "filter", FILTER_RULE),
        ("filter=IN", "filter", FILTER_RULE),
        ("format=xml", "format", "must be json or csv"),
        ("since=1d", "since", "is not a field of this request"),
        ("by=app&by=route", "by", "must not be given twice"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(api: Api, query: str, field: str, rule: str) -> None:
    """The answer names the field and its rule."""
    answer = figures(api, f"?{query}")
    assert answer.status_code == 422
    assert members(answer)["errors"] == [{"field": field, "rule": rule}]


@pytest.fixture
def split(valkey: ValkeyServer) -> Iterator[Api]:
    """Build an application whose only route has a split."""
    made = make_api(valkey, text=SPLIT)
    yield made
    close(made)


def test_people_are_assigned_to_arms_and_advice_waits_for_enough(split: Api) -> None:
    """Whoever is let in belongs to one arm of the split; a person who chose belongs to none."""
    numbers = crowd()
    for _ in range(6):
        split.opened(to=next(numbers))
    split.opened(to=next(numbers), channel="voice")
    rows = members(figures(split, "?by=arm&filter=route:all"))["rows"]
    assert sum(row["let_in"] for row in rows if row["arm"]) == 6
    assert sum(row["let_in"] for row in rows if not row["arm"]) == 1
    assert {row["arm"][8:] for row in rows if row["arm"]} <= {".steps", ".split"}
    found = members(split.call("GET", "/ops/advice", key=OPS))
    assert {order["verdict"] for order in found["orders"]} == {"cannot_tell"}
    [whole] = [order for order in found["orders"] if not order["country"]]
    assert whole["n"] + whole["other_n"] == 6
    assert whole["text"].startswith("voice first in all countries (route all): too few people yet, n = 6")
