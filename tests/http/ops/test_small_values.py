"""Values of operators' requests that look harmless and are not: nothing, almost true, and what cannot be seen."""

from typing import Any

import pytest

from tests.conftest import OPS
from tests.support.http_api import NUMBER, Api
from tests.support.http_calls import problem

pytest_plugins = ["tests.support.http_fixtures"]

KEY = {"kind": "secret", "owner": "web"}
MARKS = [
    "\x00",
    "\x1b",
    "\x7f",
    "\x85",
    "\xad",
    "\u200b",
    "\u200e",
    "\u202e",
    "\u2028",
    "\u2066",
    "\ufeff",
    "\U000e0041",
]


def refused(api: Api, path: str, body: dict[str, Any]) -> str:
    """Make a request that is refused for one field, and return the field."""
    [broken] = problem(api.call("POST", path, key=OPS, body=body), 422, "invalid_request")["errors"]
    return str(broken["field"])


@pytest.mark.parametrize("expires", ["0d", "0s", "00h"])
def test_a_key_that_ends_at_once_is_not_issued(api: Api, expires: str) -> None:
    """It would be refused from its first use."""
    assert refused(api, "/ops/keys", KEY | {"expires": expires}) == "expires"


def test_a_rotated_key_does_not_end_at_once_but_its_predecessor_may(api: Api) -> None:
    """An overlap of nothing is a choice: the old key may be known to a thief."""
    made = api.call("POST", "/ops/keys", key=OPS, body=KEY).json or {}
    path = f"/ops/keys/{made['id']}/rotate"
    assert refused(api, path, {"reason": "x", "expires": "0d"}) == "expires"
    assert api.call("POST", path, key=OPS, body={"reason": "x", "overlap": "0s"}).status_code == 201


@pytest.mark.parametrize("version", [0, -1])
def test_a_rollback_names_a_version_that_can_exist(api: Api, version: int) -> None:
    """The first version is 1."""
    assert refused(api, "/ops/policy/rollback", {"reason": "x", "version": version}) == "version"


@pytest.mark.parametrize("value", [1, 0, 1.0, 0.0, "true", "false", "1", "yes", [], {}])
def test_a_boolean_is_true_or_false_and_nothing_like_it(api: Api, value: object) -> None:
    """In Python, 1 equals True; in JSON it does not."""
    assert refused(api, "/ops/numbers/forget", {"to": NUMBER, "and_suppression": value}) == "and_suppression"
    app = {"name": "shop", "brand": "Shop", "reason": "x", "keys": value}
    assert refused(api, "/ops/apps", app) == "keys"


@pytest.mark.parametrize("mark", MARKS)
def test_what_a_list_or_message_shows_has_no_marks_that_cannot_be_seen(api: Api, mark: str) -> None:
    """They could turn a line around, hide a part of it or make two names look alike."""
    text = f"a{mark}b"
    assert refused(api, "/ops/keys", KEY | {"label": text}) == "label"
    app = {"name": "shop", "brand": "Shop", "reason": "x"}
    assert refused(api, "/ops/apps", app | {"brand": text}) == "brand"
    assert refused(api, "/ops/apps", app | {"reason": text}) == "reason"


@pytest.mark.parametrize("reason", ["\xa0", "\u2003", "\u3000x"])
def test_a_reason_does_not_begin_with_a_space_of_any_kind(api: Api, reason: str) -> None:
    """A reason of spaces alone would be blank."""
    assert refused(api, "/ops/apps", {"name": "shop", "brand": "Shop", "reason": reason}) == "reason"


LINE = "must be 1 to 200 visible characters on one line"


@pytest.mark.parametrize(
    ("origins", "errors"),
    [
        (["https://a.example.com", 7], {"origins[1]": "must be a string"}),
        (["a\u202eb", "https://a.example.com", None], {"origins[0]": LINE, "origins[2]": "must not be null"}),
        (["", {}], {"origins[0]": LINE, "origins[1]": "must be a string"}),
        ([7] * 99, {f"origins[{place}]": "must be a string" for place in range(10)}),
        ("https://a.example.com", {"origins": "must be a list"}),
        ({"0": "https://a.example.com"}, {"origins": "must be a list"}),
        (None, {"origins": "must not be null"}),
    ],
)
def test_an_entry_of_a_list_is_named_with_its_rule(api: Api, origins: object, errors: dict[str, str]) -> None:
    """Of many wrong entries, the first ten."""
    app = {"name": "shop", "brand": "Shop", "reason": "x", "origins": origins}
    found = problem(api.call("POST", "/ops/apps", key=OPS, body=app), 422, "invalid_request")
    assert {error["field"]: error["rule"] for error in found["errors"]} == errors
    field, rule = next(iter(errors.items()))
    assert found["detail"] == f"'{field}' {rule}."


def test_a_recycled_number_that_is_no_text_is_named(api: Api) -> None:
    """Among thousands, it would not be found otherwise."""
    body = {"numbers": [NUMBER, 12025550101], "reason": "x"}
    assert refused(api, "/ops/numbers/recycled", body) == "numbers[1]"


def test_a_whole_number_may_be_written_with_a_point(api: Api) -> None:
    """JSON has one kind of number: 1.0 is whole, 1.5 is not."""
    for days, status in ((90.0, 200), (1.5, 422), (1e300, 422), (float(10**20), 422)):
        body = {"numbers": [NUMBER], "reason": "r", "days": days}
        assert api.call("POST", "/ops/numbers/recycled", key=OPS, body=body).status_code == status


@pytest.mark.parametrize("number", ["0012025550101", "2025550101", "+1202", "+12025550101;ext=9", "+1CALLME"])
def test_a_search_by_what_is_no_number_names_its_field(api: Api, number: str) -> None:
    """The field is `number`, whatever other requests call theirs."""
    answer = api.call("POST", "/ops/challenges/search", key=OPS, body={"number": number})
    [broken] = problem(answer, 422, "invalid_number")["errors"]
    assert broken["field"] == "number"


@pytest.mark.parametrize("by", ["reference", "challenge_id", "request_id"])
def test_a_search_passes_no_field_over(api: Api, by: str) -> None:
    """A country narrows a time range and reads a number; with an id, more would be found than was asked for."""
    assert refused(api, "/ops/challenges/search", {by: "x", "country": "US"}) == "country"
    for good in ({"since": 0}, {"number": NUMBER}):
        body = good | {"country": "US"}
        assert api.call("POST", "/ops/challenges/search", key=OPS, body=body).status_code == 200
