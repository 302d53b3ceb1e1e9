"""Sends of an app with an endpoint of its own that decides: what follows from its answers, and when it is asked."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from otp_service.events import signing_secrets
from tests.conftest import OPS, ORIGIN, POLICY, PUBLISHABLE, SECRET
from tests.policy.test_review import HASH
from tests.support.fault_server import FaultServer, hang, http_json
from tests.support.http_api import NOBODY, NUMBER, Api, close, make_api
from tests.support.http_calls import but_for_the_time, problem, with_idempotency_key
from tests.support.patience import PATIENCE
from tests.support.proofs import encoded, proof
from tests.support.valkey_server import ValkeyServer

EVENTS_SECRET = signing_secrets.draw_secret()


class Deciding:
    """An endpoint that answers what the test says."""

    def __init__(self, server: FaultServer) -> None:
        self.answer = "allow"
        self.server = server
        server.respond(lambda _: http_json({"decision": self.answer}))

    @property
    def asked(self) -> int:
        """How often it was asked."""
        return len(self.server.received)


@pytest.fixture
def endpoint() -> Iterator[Deciding]:
    """Serve an endpoint that allows everything."""
    with FaultServer() as running:
        yield Deciding(running)


def make(valkey: ValkeyServer, text: str) -> Api:
    """Build an application that may call this machine, with time to spare for an answer."""
    made = make_api(valkey, text=text, event_secrets={"OTP_EVENTS_WEB": EVENTS_SECRET}, private_events=True)
    made.core.decisions.within = PATIENCE
    return made


@pytest.fixture
def api(valkey: ValkeyServer, endpoint: Deciding) -> Iterator[Api]:
    """Build an application whose app has the endpoint."""
    hook = f'[app.web.decision]\nurl = "{endpoint.server.url}decide"\nsecret_env = "OTP_EVENTS_WEB"\n'
    text = POLICY.replace("[app.other]", hook + "[app.other]")
    made = make(valkey, text)
    yield made
    close(made)


def send(api: Api, key: str = SECRET, *, again: str = "", **fields: object) -> TestResponse:
    """Ask for a code."""
    origin = ORIGIN if key == PUBLISHABLE else None
    headers = with_idempotency_key(again) if again else None
    body = {"to": NUMBER, **fields}
    return api.call("POST", "/otp/send", key=key, origin=origin, body=body, headers=headers)


def test_what_is_allowed_is_sent_and_another_app_is_not_asked_about(api: Api, endpoint: Deciding) -> None:
    """One question for each send of this app."""
    assert send(api).status_code == 202
    assert endpoint.asked == 1
    assert send(api, "sk_test-of-another-app", to="+12025550101").status_code == 202
    assert endpoint.asked == 1


@pytest.mark.parametrize("key", [SECRET, PUBLISHABLE])
def test_what_is_refused_is_not_charged(api: Api, endpoint: Deciding, key: str) -> None:
    """A server learns the rule, a page does not; the next send meets no cooldown."""
    endpoint.answer = "refuse"
    found = problem(send(api, key), 422, "no_route")
    assert found.get("rule") == ("decision" if key == SECRET else None)
    endpoint.answer = "allow"
    assert send(api, key).status_code == 202


def test_a_human_check_is_posed_and_passes_when_it_is_solved(api: Api, endpoint: Deciding) -> None:
    """The endpoint is asked again with the proof, and its answer is met by it."""
    endpoint.answer = "human_check"
    found = problem(send(api, PUBLISHABLE), 403, "human_check_required")
    solved = encoded(proof(found["human_check"]))
    assert send(api, PUBLISHABLE, human_proof=solved).status_code == 202
    assert endpoint.asked == 2


def test_who_is_told_to_use_a_cheap_channel_has_to_have_one(api: Api, endpoint: Deciding) -> None:
    """This route has none."""
    endpoint.answer = "cheap"
    problem(send(api), 422, "no_route")


def test_it_is_asked_after_what_refuses_for_free(api: Api, endpoint: Deciding) -> None:
    """A cooldown is not told to it; neither is a number that is none."""
    assert send(api).status_code == 202
    problem(send(api), 429, "too_many_requests")
    problem(send(api, to="+1 202"), 422, "invalid_number")
    assert endpoint.asked == 1


def test_a_repetition_is_not_asked_about(api: Api, endpoint: Deciding) -> None:
    """The same Idempotency-Key is the same send."""
    first = send(api, again="the-key-of-one-send")
    endpoint.answer = "refuse"
    assert but_for_the_time(send(api, again="the-key-of-one-send")) == but_for_the_time(first)
    assert endpoint.asked == 1


def test_a_resend_is_asked_about(api: Api, endpoint: Deciding) -> None:
    """A SIM may have been swapped in between."""
    id_ = (send(api).json or {})["challenge_id"]
    api.core.scripts.offset += 60_000
    endpoint.answer = "refuse"
    problem(api.call("POST", f"/otp/{id_}/resend", body={}), 422, "no_route")
    endpoint.answer = "allow"
    assert api.call("POST", f"/otp/{id_}/resend", body={}).status_code == 202
    assert endpoint.asked == 3


def story(api: Api, answer: TestResponse) -> dict[str, Any]:
    """Read the story of a send, found by the id of its request."""
    api.core.journal.hand_over()
    wanted = {"request_id": answer.headers["X-Request-Id"]}
    found = api.call("POST", "/ops/challenges/search", key=OPS, body=wanted).json or {}
    [one] = found["challenges"]
    return api.call("GET", f"/ops/challenges/{one['id']}", key=OPS).json or {}


def decisions(told: dict[str, Any]) -> list[tuple[str, str | None]]:
    """List what an endpoint decided in a story, each with why the policy decided in its place."""
    steps = [step for step in told["timeline"] if step["what"] == "decided"]
    assert all(0 <= step["seconds"] < 2 * PATIENCE for step in steps)
    return [(step["result"], step.get("reason")) for step in steps]


def test_the_story_says_who_refused(api: Api, endpoint: Deciding) -> None:
    """Under the request's id, with the rule, and what the endpoint answered before it."""
    endpoint.answer = "refuse"
    told = story(api, send(api))
    assert told["rule"] == "decision"
    assert [step["what"] for step in told["timeline"]] == ["asked", "decided", "refused"]
    assert decisions(told) == [("refuse", None)]


@pytest.mark.parametrize(
    ("answer", "whats"),
    [("allow", ["asked", "decided", "admitted"]), ("human_check", ["asked", "decided", "human_check"])],
)
def test_every_answer_is_in_the_story(api: Api, endpoint: Deciding, answer: str, whats: list[str]) -> None:
    """Also one that lets the send out: whoever looks sees that the endpoint was asked, and what it took."""
    endpoint.answer = answer
    told = story(api, send(api, PUBLISHABLE))
    assert [step["what"] for step in told["timeline"]] == whats
    assert decisions(told) == [(answer, None)]
    assert told["channels"] in (["sms"], [])


def test_the_answer_about_a_resend_is_in_the_story(api: Api, endpoint: Deciding) -> None:
    """Beside that about the send."""
    sent = send(api)
    id_ = (sent.json or {})["challenge_id"]
    api.core.scripts.offset += 60_000
    endpoint.answer = "refuse"
    problem(api.call("POST", f"/otp/{id_}/resend", body={}), 422, "no_route")
    assert decisions(story(api, sent)) == [("allow", None), ("refuse", None)]


def test_a_send_that_is_not_asked_about_has_no_answer_in_its_story(api: Api) -> None:
    """As the guard refuses it anyway."""
    assert send(api).status_code == 202
    assert decisions(story(api, send(api))) == []


def test_a_failure_that_lets_a_send_out_is_told_with_its_reason(api: Api, endpoint: Deciding) -> None:
    """The send leaves, and the story says that the policy decided, and not the endpoint."""
    endpoint.answer = "perhaps"
    assert decisions(story(api, send(api))) == [("allow", "unknown_answer")]


def test_an_answer_that_is_late_is_told_as_late(api: Api, endpoint: Deciding) -> None:
    """With the time after which it was given up."""
    api.core.decisions.within = 0.3
    endpoint.server.play(hang)
    told = story(api, send(api))
    assert decisions(told) == [("allow", "late")]
    [step] = [one for one in told["timeline"] if one["what"] == "decided"]
    assert step["seconds"] >= 0.29


def test_without_an_answer_nothing_leaves_if_the_policy_says_so(valkey: ValkeyServer) -> None:
    """For the moment: the caller may come again, and nothing was charged."""
    hook = f'[app.web.decision]\nurl = "{NOBODY}/"\nsecret_env = "OTP_EVENTS_WEB"\non_failure = "refuse"\n'
    text = POLICY.replace("[app.other]", hook + "[app.other]")
    api = make(valkey, text)
    found = problem(send(api), 503, "busy")
    assert found["retry_after"]
    assert "did not decide" in found["detail"]
    told = story(api, send(api))
    assert [step["what"] for step in told["timeline"]] == ["asked", "decided", "refused"]
    assert decisions(told) == [("refuse", "connect_failed")]
    assert told["reason"] == "busy"
    close(api)


def test_a_review_number_is_not_asked_about(valkey: ValkeyServer, endpoint: Deciding) -> None:
    """Nothing is sent to it, and the reviewers get in whatever the endpoint says."""
    endpoint.answer = "refuse"
    hook = f'[app.web.decision]\nurl = "{endpoint.server.url}decide"\nsecret_env = "OTP_EVENTS_WEB"\n'
    today = datetime.now(UTC).date()
    review = f"""[app.web.review."{NUMBER}"]
code = "{HASH}"
digits = 6
purposes = ["login"]
since = "{today}"
expires = "{today + timedelta(days=9)}"
"""
    text = POLICY.replace("[app.other]", f"{hook}{review}[app.other]")
    api = make(valkey, text)
    assert send(api).status_code == 202
    assert endpoint.asked == 0
    problem(send(api, to="+12025550151"), 422, "no_route")
    assert endpoint.asked == 1
    close(api)
