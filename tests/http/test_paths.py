"""Paths: which methods they have, and what their variable parts may be."""

import pytest

from tests.conftest import OPS, SECRET
from tests.support.http_api import NO_ID, Api
from tests.support.http_calls import problem

pytest_plugins = ["tests.support.http_fixtures"]


@pytest.mark.parametrize("path", ["/otp/send", "/otp/verify", "/otp/token/redeem"])
@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_a_call_with_the_wrong_method_is_told_the_right_one(api: Api, method: str, path: str) -> None:
    """The name of a call is no challenge's id."""
    answer = api.flask.test_client().open(path, method=method, headers={"Authorization": f"Bearer {SECRET}"})
    problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


@pytest.mark.parametrize("name", ["sned", "verfy", "resend", "send1"])
def test_a_misspelled_call_is_no_path(api: Api, name: str) -> None:
    """Whoever posts to it means no challenge with this id, so the methods of one would be no help."""
    problem(api.call("POST", f"/otp/{name}", key=SECRET), 404, "not_found")
    problem(api.call("POST", f"/otp/{NO_ID}", key=SECRET), 405, "method_not_allowed")


@pytest.mark.parametrize("challenge_id", ["send-1", "sending", "Verify", "verify_", NO_ID])
def test_an_id_that_resembles_a_call_is_still_an_id(api: Api, challenge_id: str) -> None:
    """Ids are random, so one of them may begin with such a word."""
    problem(api.call("GET", f"/otp/{challenge_id}"), 404, "challenge_not_found")


@pytest.mark.parametrize(
    "number", ["\u0661", "\u0967\u0968", "\uff11", "1\u0662", "-1", "+1", "1.0", "1_0", "9" * 10]
)
def test_the_number_of_a_version_is_in_ascii_digits(api: Api, number: str) -> None:
    """Digits of other scripts name no version, so one version has one address."""
    for path in (f"/ops/policy/{number}", f"/ops/policy/diff/{number}/1", f"/ops/policy/diff/1/{number}"):
        answer = api.flask.test_client().get(path, headers={"Authorization": f"Bearer {OPS}"})
        assert "There is nothing at this path." in problem(answer, 404, "not_found")["detail"]


@pytest.mark.parametrize("slashes", ["//", "///"])
@pytest.mark.parametrize("path", ["ops/upstreams", "healthz", "ops/console/"])
def test_a_path_has_one_slash_at_its_start(api: Api, slashes: str, path: str) -> None:
    """A proxy that keeps strangers from a path, and the door that refuses sends, read the others as another path."""
    client, headers = api.flask.test_client(), {"Authorization": f"Bearer {OPS}"}
    assert client.get(f"/{path}", headers=headers).status_code < 400
    answer = client.get(headers=headers, environ_overrides={"PATH_INFO": f"{slashes}{path}"})
    assert answer.status_code == 404
