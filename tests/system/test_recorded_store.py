"""The store of each released version, written down when it was released, is read and used by this one.

`python -m tests.system.recording` writes one. The time of the store goes on where the recording ended.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from otp_service.store.layout import LAYOUT
from tests.conftest import OPS, SECRET
from tests.support.http_api import NOTHING, Api, wrong
from tests.support.http_calls import problem_of
from tests.support.valkey_server import ValkeyServer
from tests.system.recording import FOLDER, KEY, LATER, PREFIX, Recording, product, read, restore

RECORDINGS = sorted(FOLDER.glob("*.json"))
ALL = [
    pytest.param((path, later), id=f"{path.stem}{' and a field more' * later}")
    for path in RECORDINGS
    for later in (False, True)
]


class Restored:
    """The product on a recorded store."""

    def __init__(self, api: Api, recording: Recording) -> None:
        self.api, self._people = api, recording.people

    def who(self, name: str) -> dict[str, Any]:
        """Return what a person of the recording knows."""
        return self._people[name]

    def ops(self, method: str, path: str, body: object = NOTHING) -> Any:  # noqa: ANN401 - JSON
        """Make an operator's call that succeeds."""
        answer = self.api.call(method, f"/ops/{path}", key=OPS, body=body)
        assert answer.status_code == 200, answer.text
        return answer.json


@pytest.fixture(params=ALL)
def restored(request: pytest.FixtureRequest, valkey: ValkeyServer) -> Iterator[Restored]:
    """Restore a recording; the account's address is the one thing that an operator changes."""
    path, later = request.param
    recording = read(path)
    restore(recording, valkey.client(), later=later)
    with product(valkey) as api:
        api.core.scripts.offset = recording.at - api.core.store.facts.time()
        url = api.core.configuration.policy_file.text.split("base_url = ")[1].split('"')[1]  # type: ignore[union-attr]
        newest = api.core.policies.newest()
        assert newest is not None
        text = newest.text.replace("http://127.0.0.1:9/api/v2/", url)
        api.core.policies.apply(text, author="anna", reason="moved")
        api.core.active.refresh()
        api.core.live_keys.refresh()
        yield Restored(api, recording)


def test_a_code_that_was_under_way_is_checked_and_its_wrong_guesses_count(restored: Restored) -> None:
    """Two of five were made before; the right code verifies once, and its token is redeemed once."""
    api, guessed = restored.api, restored.who("guessed")
    answer = api.verify(guessed["challenge"], wrong(guessed["code"]))
    assert (answer.json or {})["checks_left"] == 2
    won = api.verify(guessed["challenge"], guessed["code"])
    assert won.status_code == 200, won.text
    assert problem_of(api.verify(guessed["challenge"], guessed["code"])) == (404, "challenge_not_found")
    token = (won.json or {})["token"]
    assert (api.redeem(token).json or {})["phone_number"] == guessed["number"]
    assert problem_of(api.redeem(token)) == (409, "token_spent")


def test_a_fifth_wrong_guess_ends_a_challenge_that_had_two(restored: Restored) -> None:
    """And no further one is evaluated."""
    api, guessed = restored.api, restored.who("guessed")
    left = [api.verify(guessed["challenge"], wrong(guessed["code"])).status_code for _ in range(3)]
    assert left[:2] == [400, 400]
    assert problem_of(api.verify(guessed["challenge"], guessed["code"]))[0] == 410


def test_tokens_are_redeemed_once(restored: Restored) -> None:
    """One that was kept is good, one that was spent is spent."""
    api = restored.api
    assert (api.redeem(restored.who("proven")["token"]).json or {})["reference"] == "order-proven"
    assert problem_of(api.redeem(restored.who("spent")["token"])) == (409, "token_spent")


def test_a_message_falls_back_to_the_next_channel(restored: Restored) -> None:
    """When the wait that was planned is over; the second code verifies, and so does the first."""
    api, waiting = restored.api, restored.who("waiting")
    api.later(11)
    for _ in ("the wait is over", "the next step"):
        api.dispatch(waiting["challenge"])
    deliveries = (api.status(waiting["challenge"]).json or {})["deliveries"]
    assert [one["channel"] for one in deliveries] == ["sms", "whatsapp"]
    assert api.code() != waiting["code"]
    assert api.verify(waiting["challenge"], waiting["code"]).status_code == 200


def test_a_resend_waits_for_the_pause_that_had_begun(restored: Restored) -> None:
    """And goes out afterwards."""
    api, cooling = restored.api, restored.who("cooling")
    assert problem_of(api.resend(cooling["challenge"]))[0] == 429
    api.later(21)
    assert api.resend(cooling["challenge"]).status_code == 202
    api.dispatch(cooling["challenge"])
    assert api.verify(cooling["challenge"], api.code()).status_code == 200


def test_what_was_refused_is_refused(restored: Restored) -> None:
    """A number at its limit, a STOP, a pin."""
    api = restored.api
    assert problem_of(api.send(restored.who("limited")["number"]))[0] == 429
    assert problem_of(api.send(restored.who("stopped")["number"])) == (422, "number_opted_out")
    assert problem_of(api.send(restored.who("pinned")["number"])) == (422, "no_route")
    api.later(7200)
    assert api.send(restored.who("limited")["number"]).status_code == 202


def test_a_repeated_send_is_the_same_challenge(restored: Restored) -> None:
    """By its Idempotency-Key; nothing is charged again."""
    repeated = restored.who("repeated")
    answer = restored.api.call(
        "POST", "/otp/send", body={"to": repeated["number"]}, headers={"Idempotency-Key": KEY}
    )
    assert (answer.json or {})["challenge_id"] == repeated["challenge"]


def test_issued_keys_work_and_revoked_ones_do_not(restored: Restored) -> None:
    """Beside the policy's own."""
    api, backend = restored.api, restored.who("backend")
    id_ = restored.who("guessed")["challenge"]
    answers = [api.status(id_, key=key).status_code for key in (backend["key"], SECRET, backend["revoked"])]
    assert answers == [200, 200, 401]


def test_what_happened_is_told(restored: Restored) -> None:
    """Stories, found by number and by reference; figures; the policy's versions; acts; blocks; pins."""
    spent = restored.who("spent")
    for search in ({"number": spent["number"]}, {"reference": "order-spent"}):
        [found] = restored.ops("POST", "challenges/search", search)["challenges"]
        assert found["id"] == spent["challenge"]
    told = restored.ops("GET", f"challenges/{spent['challenge']}")
    assert {"guessed", "ended", "redeemed"} <= {one["what"] for one in told["timeline"]}
    assert restored.ops("GET", "figures")["total"]["verified"] == 2
    assert restored.ops("GET", "figures")["total"]["refused"] == 1
    assert [one["reason"] for one in restored.ops("GET", "pins")["pins"]] == ["a test"]
    core = restored.api.core
    assert [version.reason for version in core.policies.history()] == ["moved", "a test"]
    assert {"key.issued", "key.revoked", "policy.applied"} <= {act.name for act in core.audit_trail.read()}


def test_records_keep_what_this_version_does_not_know(valkey: ValkeyServer) -> None:
    """A field of a later version of the same layout is still there after a guess, a send and a delivery."""
    recording = read(RECORDINGS[-1])
    restore(recording, valkey.client(), later=True)
    with product(valkey) as api:
        api.core.scripts.offset = recording.at - api.core.store.facts.time()
        person = recording.people["guessed"]
        api.verify(person["challenge"], wrong(person["code"]))
        api.verify(person["challenge"], person["code"])
        id_ = person["challenge"]
        kept = json.loads(str(valkey.client().get(f"{{{PREFIX}:{id_[:2]}}}:c:{id_[2:]}")))
    assert kept["state"] == "verified"
    assert LATER.items() <= kept.items()


def test_each_layout_that_is_read_has_a_recording() -> None:
    """And none is of a layout that is not."""
    assert {read(path).layout for path in RECORDINGS} == set(range(1, LAYOUT + 1))
    assert all(path.stem == read(path).version for path in RECORDINGS)
    assert all(path.stat().st_size < 64_000 for path in RECORDINGS)


def test_a_recording_of_this_version_has_the_kinds_of_keys_that_are_kept() -> None:
    """What is recorded is made by the product itself, so a new recording is made by one command."""
    kinds = {name.replace(PREFIX, "").strip("{}").split(":")[1] for name in read(RECORDINGS[-1]).keys}
    assert {"layout", "policy", "keys", "audit", "s", "u"} <= kinds
