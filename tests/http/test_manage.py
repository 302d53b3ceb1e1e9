"""GET and DELETE /otp/{id}: the state of a challenge, and its end by the app."""

import pytest

from tests.conftest import OTHER_SECRET
from tests.support.http_api import (
    NO_ID,
    Api,
)
from tests.support.http_calls import members, problem_of

pytest_plugins = ["tests.support.http_fixtures"]


def test_status_shows_the_state_of_the_message(live: Api) -> None:
    """After the upstream accepts it, the delivery is accepted; the seconds count down with the store's clock."""
    since = live.clock()
    challenge_id, _ = live.sent()
    live.later(12)
    shown = members(live.status(challenge_id))
    assert shown["deliveries"] == [{"channel": "sms", "status": "accepted"}]
    assert since + 300 - live.clock() <= shown["expires_in"] <= 288
    assert shown["expires_in"] - shown["resend_in"] == 270
    live.later(288)
    ended = members(live.status(challenge_id))
    assert (ended["status"], ended["expires_in"], ended["checks_left"]) == ("expired", 0, 0)
    assert ended["channels_left"] == []


def test_a_message_that_no_upstream_accepts_is_undeliverable(live: Api) -> None:
    """A refused send ends the challenge; verify then does not find it."""
    challenge_id = live.opened("+12025550120")
    live.dispatch(challenge_id)
    shown = members(live.status(challenge_id))
    assert (shown["status"], shown["deliveries"]) == (
        "undeliverable",
        [{"channel": "sms", "status": "refused"}],
    )
    assert problem_of(live.verify(challenge_id, "000000")) == (404, "challenge_not_found")


@pytest.mark.parametrize("act", ["status", "resend", "cancel"])
def test_another_apps_challenge_is_unknown(api: Api, act: str) -> None:
    """Every call answers another app's id like an unknown one, and changes nothing."""
    challenge_id = api.opened()
    before = api.kept()
    answers = [getattr(api, act)(id_, key=OTHER_SECRET) for id_ in (challenge_id, NO_ID, "x")]
    bodies = {a.data.replace(a.headers["X-Request-Id"].encode(), b"-") for a in answers}
    assert len(bodies) == 1
    assert {problem_of(a) for a in answers} == {(404, "challenge_not_found")}
    assert api.kept() == before


def test_a_cancelled_challenge_accepts_no_code_and_can_be_cancelled_again(live: Api) -> None:
    """No code counts any more; cancelling twice is the same."""
    challenge_id, code = live.sent()
    assert members(live.cancel(challenge_id))["status"] == "cancelled"
    assert members(live.cancel(challenge_id))["status"] == "cancelled"
    assert problem_of(live.verify(challenge_id, code)) == (404, "challenge_not_found")
    assert problem_of(live.resend(challenge_id)) == (404, "challenge_not_found")


def test_a_verified_challenge_cannot_be_cancelled(live: Api) -> None:
    """A proof stays valid."""
    won = live.won()
    assert problem_of(live.cancel(won["challenge_id"])) == (404, "challenge_not_found")
    assert members(live.status(won["challenge_id"]))["status"] == "verified"
