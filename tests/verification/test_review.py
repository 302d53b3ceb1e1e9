"""Review numbers: a known code, nothing sent, and a token that proves nothing unless a backend says that it will do."""

import threading
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from otp_service.crypto.tokens import REVIEW_TYPE
from otp_service.ops.review_numbers import NewReview, ReviewNumbers
from otp_service.policy.review import DAY
from tests.conftest import OPS, OTHER_SECRET, POLICY, PUBLISHABLE
from tests.support.http_api import NOBODY, Api, close, make_api, wrong
from tests.support.http_calls import members, problem_of
from tests.support.valkey_server import ValkeyServer

pytest_plugins = ["tests.support.http_fixtures"]
NUMBER, ORDINARY = "+12025550150", "+12025550151"
BOTH_CHANNELS = POLICY.replace("[[route]]", 'voice = { bridge = "918045000001" }\n\n[[route]]').replace(
    'wait = "5s" }]', 'wait = "5s" }, { channel = "voice", upstream = "main", wait = "30s" }]'
)


@pytest.fixture
def api(valkey: ValkeyServer) -> Iterator[Api]:
    """An application whose upstream nobody answers for: whatever is sent fails."""
    made = make_api(valkey, NOBODY, BOTH_CHANNELS)
    made.core.begin_policy()
    made.core.active.refresh()
    yield made
    close(made)


@pytest.fixture
def code(api: Api) -> str:
    """Add a review number for ten days; return its code."""
    return add(api)


def numbers_of(api: Api) -> ReviewNumbers:
    """Give the operators' acts on review numbers."""
    core = api.core
    return ReviewNumbers(changes=core.policy_changes, hasher=core.hasher, clock=core.store.facts.time)


def add(api: Api, number: str = NUMBER, *, digits: int = 6) -> str:
    """Add a review number for the purposes login and signup."""
    new = NewReview(app="web", number=number, purposes=["login", "signup"], days=10)
    _, drawn = numbers_of(api).add(new, digits=digits, by="anna", reason="a review")
    api.core.active.refresh()
    return drawn


def won(api: Api, code: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - of a send
    """Send and verify."""
    id_ = api.opened(NUMBER, **fields)
    return members(api.verify(id_, code))


# What the app's screens show.


def test_a_review_number_looks_like_any_other(api: Api, code: str) -> None:
    """The message seems accepted, there are countdowns, a wrong code costs an attempt, the right one wins."""
    sent = members(api.send(NUMBER))
    assert (sent["status"], sent["deliveries"]) == ("pending", [{"channel": "sms", "status": "accepted"}])
    assert (sent["resend_in"], sent["sends_left"], sent["code_length"]) == (30, 2, 6)
    id_ = sent["challenge_id"]
    refused = api.verify(id_, wrong(code))
    assert (problem_of(refused), members(refused)["checks_left"]) == ((400, "wrong_code"), 4)
    verified = members(api.verify(id_, code))
    assert (verified["status"], verified["to"]) == ("verified", "+1********50")


def test_its_code_is_the_same_each_time_and_of_its_own_length(api: Api) -> None:
    """Also after the policy asks for another length."""
    code = add(api, digits=8)
    for _ in range(2):
        assert members(api.send(NUMBER))["code_length"] == 8
        api.later(3600)
        assert won(api, code)["status"] == "verified"
        api.later(3600)


def test_another_code_can_be_requested(api: Api, code: str) -> None:
    """Over another channel; the code stays, and nothing is due for a worker."""
    id_ = api.opened(NUMBER)
    api.later(60)
    again = members(api.resend(id_, body={"channel": "voice"}))
    assert [one["status"] for one in again["deliveries"]] == ["accepted", "accepted"]
    [due] = [value for key, value in api.kept().items() if key.endswith(":due")]
    assert isinstance(due, list)
    assert due[0][1] > api.core.store.facts.time() + 200_000, "it only waits for its end"
    api.dispatch(id_)
    assert [one["status"] for one in members(api.status(id_))["deliveries"]] == ["accepted", "accepted"]
    assert members(api.verify(id_, code))["status"] == "verified"


def test_nothing_is_sent_and_nothing_told(api: Api, code: str) -> None:
    """No worker has anything to do before it expires, and an end by time is one of a message that was sent."""
    before = api.core.store.facts.time()
    id_ = api.opened(NUMBER)
    schedule = {k: v for k, v in api.kept().items() if k.endswith(":due")}
    [found] = schedule.values()
    assert isinstance(found, list)
    [(entry, score)] = found
    assert entry == id_
    assert score > before + 299_000
    api.dispatch(id_)
    assert members(api.status(id_))["deliveries"] == [{"channel": "sms", "status": "accepted"}]
    api.later(301)
    assert api.core.expiry.sweep(api.core.store.partitions.names(), threading.Event())
    assert members(api.status(id_))["status"] == "expired"


def test_it_can_be_cancelled(api: Api, code: str) -> None:
    """Then its code is not accepted."""
    id_ = api.opened(NUMBER)
    assert members(api.cancel(id_))["status"] == "cancelled"
    assert problem_of(api.verify(id_, code)) == (404, "challenge_not_found")


def test_a_repeated_check_gets_the_same_token(api: Api, code: str) -> None:
    """And another code with its key does not."""
    id_ = api.opened(NUMBER)
    first = members(api.verify(id_, code, once="k" * 22))["token"]
    assert members(api.verify(id_, code, once="k" * 22))["token"] == first
    assert problem_of(api.verify(id_, wrong(code), once="k" * 22)) == (422, "idempotency_key_reused")


# What it is worth.


def test_its_token_is_redeemed_only_on_purpose(api: Api, code: str) -> None:
    """A refused one is not spent; then it works once, and says what it is."""
    token = won(api, code, reference="r-1")["token"]
    for answer in (api.redeem(token), api.redeem(token, accept_review=False)):
        assert problem_of(answer) == (403, "review_token")
        assert members(answer)["errors"][0]["field"] == "accept_review"
    claims = members(api.redeem(token, accept_review=True, expect={"reference": "r-1"}))
    assert (claims["amr"], claims["aud"], claims["phone_number"]) == (["review"], "review:web", NUMBER)
    assert claims["phone_number_verified"] is False
    assert problem_of(api.redeem(token, accept_review=True)) == (409, "token_spent")


def test_its_token_passes_no_check_of_other_tokens(api: Api, code: str) -> None:
    """Its type and its audience are its own; other tokens and other apps' are as before."""
    token = won(api, code)["token"]
    assert jwt.get_unverified_header(token)["typ"] == REVIEW_TYPE
    key = jwt.PyJWKSet.from_dict(members(api.call("GET", "/.well-known/jwks.json", key=None)))
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(token, key.keys[0], algorithms=["EdDSA"], audience="web")
    assert problem_of(api.redeem(token, key=OTHER_SECRET, accept_review=True)) == (400, "token_invalid")
    api.later(301)
    assert problem_of(api.redeem(token, accept_review=True)) == (400, "token_invalid")
    assert problem_of(api.redeem(token)) == (400, "token_invalid")


def test_a_proven_number_needs_no_permission(live_token: tuple[Api, str]) -> None:
    """`accept_review` changes nothing for other tokens."""
    api, token = live_token
    assert members(api.redeem(token, accept_review=True))["amr"] == ["otp", "sms"]


@pytest.fixture
def live_token(live: Api) -> tuple[Api, str]:
    """Give an application, and the token of a number that was proven."""
    return live, live.won()["token"]


def test_no_device_is_remembered(api: Api, code: str) -> None:
    """It would have limits of its own for a number that it never had."""
    id_ = api.opened(NUMBER)
    assert "device_token" not in members(api.verify(id_, code, remember_device=True))


def test_limits_count_as_always_and_nothing_is_forgiven(api: Api, code: str) -> None:
    """The pause between sends holds after a right code, too; a proven number would begin anew."""
    won(api, code)
    refused = api.send(NUMBER)
    assert (problem_of(refused), members(refused)["rule"]) == ((429, "too_many_requests"), "cooldown")


# When it does not count.


@pytest.mark.parametrize(
    "fields", [{"purpose": "payment"}, {"binding": "12.00 EUR"}, {"binding": {"amount": "1"}}]
)
def test_another_purpose_and_a_binding_make_it_any_number(
    api: Api, code: str, fields: dict[str, Any]
) -> None:
    """Its code is then one of a million: the message is due for a worker."""
    sent = members(api.send(NUMBER, **fields))
    assert sent["deliveries"] == [{"channel": "sms", "status": "queued"}]
    assert problem_of(api.verify(sent["challenge_id"], code)) == (400, "wrong_code")


def test_a_binding_at_the_check_is_a_wrong_code(api: Api, code: str) -> None:
    """As for every challenge that was opened without it."""
    assert problem_of(api.verify(api.opened(NUMBER), code, binding="12.00 EUR")) == (400, "wrong_code")


def test_other_apps_and_numbers_have_none(api: Api, code: str) -> None:
    """The code counts for one number of one app."""
    for number, key in ((NUMBER, OTHER_SECRET), (ORDINARY, None)):
        sent = members(api.send(number, **({"key": key} if key else {})))
        assert sent["deliveries"][0]["status"] == "queued"


def test_its_days_are_days_in_utc(api: Api) -> None:
    """It counts until the day of its end begins."""
    noon = (DAY * 3 // 2 - api.core.store.facts.time() % DAY) % DAY
    api.later(noon / 1000)  # so that no day begins meanwhile
    add(api)
    review = api.core.policy.apps["web"].review[NUMBER]
    assert review.expires - review.since == 10 * DAY
    api.later(9 * 86_400)
    assert review.expires - DAY <= api.core.store.facts.time() < review.expires
    assert members(api.send(NUMBER))["deliveries"][0]["status"] == "accepted"
    api.later(86_400)
    assert members(api.send(NUMBER))["deliveries"][0]["status"] == "queued"
    [listed] = numbers_of(api).read_all(api.core.policy)
    assert listed.is_over


def test_a_removed_number_ends_but_not_the_challenge_that_runs(api: Api, code: str) -> None:
    """A policy change never alters a running challenge."""
    id_ = api.opened(NUMBER)
    numbers_of(api).remove("web", NUMBER, by="anna", reason="reviewed")
    api.core.active.refresh()
    assert api.core.policy.apps["web"].review == {}
    assert api.core.policies.newest().text.rstrip() == api.core.policies.version(1).text.rstrip()  # type: ignore[union-attr]
    assert members(api.verify(id_, code))["status"] == "verified"


# What is kept.


def test_its_story_tells_what_happened(api: Api, code: str) -> None:
    """It was admitted as a review, nothing was sent, and a right code ended it; live and afterwards."""
    id_ = api.opened(NUMBER)
    for handed_over in (False, True):
        if handed_over:
            api.core.journal.hand_over()
        told = members(api.call("GET", f"/ops/challenges/{id_}", key=OPS))
        assert (told["state"], told["deliveries"]) == ("pending", [])
        assert [one["what"] for one in told["timeline"]] == ["asked", "admitted"]
    api.verify(id_, code)
    api.core.journal.hand_over()
    assert members(api.call("GET", f"/ops/challenges/{id_}", key=OPS))["state"] == "verified"
    total = members(api.call("GET", "/ops/figures?by=channel", key=OPS))
    assert (total["total"]["sent"], total["total"]["verified"], total["total"]["median_seconds"]) == (
        0,
        1,
        None,
    )


def test_its_code_is_in_no_answer_and_not_in_the_store(api: Api) -> None:
    """Only its hash is in the policy; a challenge has a part of that."""
    code = add(api, digits=10)  # six digits would also be found in some time or number, once in a while
    won(api, code)
    assert code not in str(api.kept())
    assert code not in api.call("GET", "/ops/policy", key=OPS).text


def test_a_page_gets_it_like_a_server(api: Api, code: str) -> None:
    """The app that is reviewed calls with its publishable key."""
    sent = members(api.send(NUMBER, key=PUBLISHABLE))
    assert members(api.verify(sent["challenge_id"], code, key=PUBLISHABLE))["status"] == "verified"
