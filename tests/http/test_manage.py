"""GET and DELETE /otp/{id}: the state of a challenge, and its end by the app."""

import pytest

from tests.conftest import OTHER_SECRET
from tests.support.http_api import (
    NO_ID,
    Api,
)
from tests.support.http_calls import members, problem_of

pytest_plugins = ["tests.support.http_fixtures"]


def test_status_tells_what_became_of_the_message(live: Api) -> None:
    """After the upstream took it the delivery is accepted; the figures run down with the store's clock."""
    challenge_id, _ = live.sent()
    live.later(12)
    shown = members(live.status(challenge_id))
    assert shown["deliveries"] == [{"channel": "sms", "status": "accepted"}]
    assert (shown["expires_in"], shown["resend_in"]) == (288, 18)
    live.later(288)
    ended = members(live.status(challenge_id))
    assert (ended["status"], ended["expires_in"], ended["checks_left"]) == ("expired", 0, 0)
    assert ended["channels_left"] == []


def test_a_message_that_nobody_takes_is_told_as_undeliverable(live: Api) -> None:
    """A refused send ends the challenge truthfully; verify then knows it no more."""
    challenge_id = live.opened("+12025550120")
    live.dispatch(challenge_id)
    shown = members(live.status(challenge_id))
    assert (shown["status"], shown["deliveries"]) == (
        "undeliverable",
        [{"channel": "sms", "status": "refused"}],
    )
    assert problem_of(live.verify(challenge_id, "000000")) == (404, "challenge_not_found")


@pytest.mark.parametrize("act", ["status", "resend", "cancel"])
def test_another_apps_challenge_is_as_good_as_none(api: Api, act: str) -> None:
    """A foreign id is answered as an unknown one by every call, and nothing of it changes."""
    challenge_id = api.opened()
    before = api.kept()
    answers = [getattr(api, act)(id_, key=OTHER_SECRET) for id_ in (challenge_id, NO_ID, "x")]
    bodies = {a.data.replace(a.headers["X-Request-Id"].encode(), b"-") for a in answers}
    assert len(bodies) == 1
    assert {problem_of(a) for a in answers} == {(404, "challenge_not_found")}
    assert api.kept() == before


def test_a_cancelled_challenge_takes_no_code_and_may_be_cancelled_again(live: Api) -> None:
    """No code counts any more; cancelling twice is the same."""
    challenge_id, code = live.sent()
    assert members(live.cancel(challenge_id))["status"] == "cancelled"
    assert members(live.cancel(challenge_id))["status"] == "cancelled"
    assert problem_of(live.verify(challenge_id, code)) == (404, "challenge_not_found")
    assert problem_of(live.resend(challenge_id)) == (404, "challenge_not_found")


def test_a_won_challenge_cannot_be_cancelled(live: Api) -> None:
    """What is proven stays proven."""
    won = live.won()
    assert problem_of(live.cancel(won["challenge_id"])) == (404, "challenge_not_found")
    assert members(live.status(won["challenge_id"]))["status"] == "verified"
