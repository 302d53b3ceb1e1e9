"""POST /otp/{id}/resend: cooldown, attempts, and repeated resends."""

from tests.conftest import POLICY
from tests.support.http_api import (
    Api,
    close,
    make_api,
    wrong,
)
from tests.support.http_calls import members, problem_of, with_idempotency_key
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ["tests.support.http_fixtures"]


def test_a_resend_does_not_reset_attempts(live: Api) -> None:
    """Attempts belong to the challenge, not to the code."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, wrong(code))
    live.later(30)
    assert members(live.resend(challenge_id))["checks_left"] == 4
    live.dispatch(challenge_id)
    assert members(live.verify(challenge_id, wrong(live.code())))["checks_left"] == 3


def test_a_repeated_resend_sends_one_message(live: Api) -> None:
    """The same key sends once, even within the cooldown that it started; another body is refused."""
    challenge_id, _ = live.sent()
    live.later(30)
    first = live.resend(challenge_id, headers=with_idempotency_key("k"))
    again = live.resend(challenge_id, headers=with_idempotency_key('"k"'))
    assert (first.status_code, again.status_code) == (202, 202)
    assert len(members(again)["deliveries"]) == 2
    live.dispatch(challenge_id)
    live.dispatch(challenge_id)
    assert len(live.messages()) == 2
    reused = live.resend(challenge_id, body={"channel": "sms"}, headers=with_idempotency_key("k"))
    assert problem_of(reused) == (422, "idempotency_key_reused")


def test_a_resend_waits_for_the_cooldown_and_brings_another_code(live: Api) -> None:
    """Before, it is 429 with the seconds to wait; afterwards, a second message is sent."""
    since = live.clock()
    challenge_id, first = live.sent()
    early = live.resend(challenge_id)
    assert problem_of(early) == (429, "resend_too_early")
    assert since + 30 - live.clock() <= members(early)["retry_after"] <= 30
    assert early.headers["Retry-After"] == str(members(early)["retry_after"])
    live.later(30)
    resent = members(live.resend(challenge_id, body={"channel": "sms"}))
    assert (resent["resend_in"], resent["sends_left"]) == (60, 1)
    live.dispatch(challenge_id)
    assert len(live.messages()) == 2
    assert first not in live.messages()[0]


def test_the_messages_of_a_challenge_run_out(valkey: ValkeyServer) -> None:
    """After `max_sends` messages no more are sent, however long one waits."""
    text = POLICY + '[challenge]\nmax_sends = 2\ncooldown = ["1s"]\n[guard.cooldown]\nladder = ["1s"]\n'
    api = make_api(valkey, text=text)
    challenge_id = api.opened()
    api.later(1)
    assert members(api.resend(challenge_id))["sends_left"] == 0
    api.later(1)
    assert problem_of(api.resend(challenge_id)) == (409, "no_sends_left")
    close(api)
