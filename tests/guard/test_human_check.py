"""The human check: what a proof of work counts for, and everything that it does not count for."""

import base64
import json
import math
import secrets
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from otp_service.errors import HumanCheckFailed
from otp_service.guard.human_check import (
    LEAST,
    LIFETIME,
    MAX_PROOF,
    MOST,
    ROUNDS,
    ProofOfWork,
    effort_for,
    enough_until,
)
from otp_service.policy.limits import HumanRules
from tests.support.examples import PATIENT
from tests.support.proofs import encoded, proof

KEY = b"k" * 32
CHECK = ProofOfWork(KEY)
NOW = 1_800_000_000_000
BOUND, OTHER = "Zm9yIHRoaXMgbnVtYmVy", "Zm9yIGFub3RoZXIgb25l"
EFFORT = 5 * ROUNDS
POSED = CHECK.pose(BOUND, effort=EFFORT, now=NOW)
PROOF = proof(POSED)
GOOD = encoded(PROOF)


def changed(place: str, value: object) -> str:
    """Give the valid proof with one field changed."""
    payload = deepcopy(PROOF)
    *way, last = place.split(".")
    inner: dict[str, Any] = payload
    for step in way:
        inner = inner[step]
    inner[last] = value
    return encoded(payload)


def refused(payload: str, bound: str = BOUND, *, check: ProofOfWork = CHECK, now: int = NOW) -> None:
    """Check that a proof is refused."""
    with pytest.raises(HumanCheckFailed):
        check.verify(payload, bound, now=now)


def test_a_proof_is_valid_for_what_it_was_posed_for() -> None:
    """Its id is always the same, so that the caller can use it up."""
    first = CHECK.verify(GOOD, BOUND, now=NOW)
    assert first == CHECK.verify(GOOD, BOUND, now=NOW)
    assert len(first.id) == 32


def test_a_proof_is_valid_in_every_process_with_the_key() -> None:
    """Everything about a check is inside it."""
    assert ProofOfWork(KEY).verify(GOOD, BOUND, now=NOW)


def test_every_check_has_an_id_of_its_own() -> None:
    """Two checks for the same request are used up separately."""
    others = {
        CHECK.verify(encoded(proof(CHECK.pose(BOUND, effort=1, now=NOW))), BOUND, now=NOW) for _ in range(20)
    }
    assert len(others) == 20


def test_a_proof_for_one_number_or_address_is_valid_for_no_other() -> None:
    """The binding is signed."""
    refused(GOOD, OTHER)
    refused(
        changed("challenge.parameters.data", {**POSED["challenge"]["parameters"]["data"], "bound": OTHER}),
        OTHER,
    )


def test_a_proof_under_another_key_is_refused() -> None:
    """Whether another service or the attacker signed it."""
    refused(GOOD, check=ProofOfWork(b"o" * 32))


def test_a_proof_expires() -> None:
    """By the time that the caller passes in, to the millisecond."""
    assert CHECK.verify(GOOD, BOUND, now=NOW + LIFETIME - 1)
    refused(GOOD, now=NOW + LIFETIME)


def test_a_proof_is_valid_until_checks_are_four_times_as_heavy() -> None:
    """A hoarded light one does not replace a heavy one. The heaviest is valid at any weight."""
    for over in (0.0, 0.1, 0.5, 0.8):
        enough = enough_until(effort_for(over))
        assert enough == pytest.approx(over + 0.5, abs=0.001)
        assert effort_for(enough) == pytest.approx(4 * effort_for(over), rel=0.001)
    assert enough_until(MOST) == enough_until(MOST // 4) == math.inf
    assert CHECK.verify(GOOD, BOUND, now=NOW).enough == enough_until(EFFORT)


def test_a_proof_stays_valid_while_the_lookup_key_is_rotated() -> None:
    """A check posed before the rotation verifies after it, as the names under both keys are accepted."""
    rotated = ProofOfWork(b"o" * 32, KEY)
    assert rotated.verify(GOOD, OTHER, BOUND, now=NOW) == CHECK.verify(GOOD, BOUND, now=NOW)
    refused(encoded(proof(rotated.pose(BOUND, effort=1, now=NOW))))


SIGNED = [
    ("algorithm", "SHA-256"),
    ("algorithm", None),
    ("cost", 1),
    ("cost", None),
    ("keyLength", 1),
    ("keyPrefix", ""),
    ("keySignature", None),
    ("keySignature", ""),
    ("nonce", "00" * 16),
    ("salt", "00" * 16),
    ("expiresAt", 1),
    ("expiresAt", 2**53),
    ("memoryCost", 1),
    ("data", None),
    ("data", {}),
    ("data", {"bound": BOUND, "effort": EFFORT, "until": NOW + 2 * LIFETIME}),
    ("data", {"bound": BOUND, "effort": MOST, "until": NOW + LIFETIME}),
    ("data", {"bound": BOUND, "effort": EFFORT, "until": NOW + LIFETIME, "more": 1}),
]


@pytest.mark.parametrize(("name", "value"), SIGNED)
def test_signed_parameters_cannot_be_changed(name: str, value: object) -> None:
    """Algorithm, cost, target, expiry and binding are signed together."""
    refused(changed(f"challenge.parameters.{name}", value))


def test_unsigned_fields_change_nothing() -> None:
    """Fields of a later widget are allowed, and the id stays the same: a proof cannot be disguised and used twice."""
    first = CHECK.verify(GOOD, BOUND, now=NOW)
    for place in ("more", "challenge.more", "challenge.parameters.more", "solution.more", "solution.counter"):
        assert CHECK.verify(changed(place, 99), BOUND, now=NOW) == first
    assert CHECK.verify(f" {GOOD}\n", BOUND, now=NOW) == first


@pytest.mark.parametrize("key", ["", "00", "00" * 32, "0" * 63, "no hex", None, 7, [], {}])
def test_a_wrong_answer_is_refused(key: object) -> None:
    """For any value of the derived key."""
    refused(changed("solution.derivedKey", key))


def test_the_target_alone_is_not_an_answer() -> None:
    """The check shows the first half of the derived key. Only the work finds the other half."""
    target = POSED["challenge"]["parameters"]["keyPrefix"]
    assert len(target) == 32
    refused(changed("solution.derivedKey", target))
    refused(changed("solution.derivedKey", target + "00" * 16))


@pytest.mark.parametrize("signature", ["", "00" * 32, None, 7, [], {}])
def test_a_forged_signature_is_refused(signature: object) -> None:
    """A missing one too."""
    refused(changed("challenge.signature", signature))


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "?",
        "é",
        "\ud800",
        "AAAA",
        encoded(None),
        encoded([]),
        encoded("challenge"),
        encoded({"challenge": None, "solution": None, "test": True}),
        encoded({"challenge": {"parameters": "algorithm"}, "solution": {}}),
        encoded({"challenge": PROOF["challenge"]}),
        encoded({"solution": PROOF["solution"]}),
        base64.b64encode(b'{"challenge":' * 60).decode(),
        base64.b64encode(b"[" * (MAX_PROOF // 2)).decode(),
        GOOD + " " * MAX_PROOF,
    ],
    ids=range(15),
)
def test_anything_but_a_proof_is_refused(payload: str) -> None:
    """Malformed, of another format, of the widget's test mode, or too long."""
    refused(payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    *("challenge", "challenge.parameters", "challenge.signature", "solution", "solution.derivedKey"),
    *(f"challenge.parameters.{name}" for name in POSED["challenge"]["parameters"]),
]


@PATIENT
@given(st.sampled_from(PLACES), JSON)
def test_no_json_in_any_place_causes_another_error(place: str, value: object) -> None:
    """It is refused as a failed check."""
    payload = changed(place, value)
    assume(json.loads(base64.b64decode(payload)) != PROOF)
    refused(payload)


@pytest.mark.parametrize("draw", [lambda _: 0, lambda below: below - 1, secrets.randbelow])
@pytest.mark.parametrize("effort", [0, 1, ROUNDS, 3 * ROUNDS])
def test_a_check_never_takes_more_than_its_effort(draw: Callable[[int], int], effort: int) -> None:
    """The answer is within the required tries, also at both ends of the random range."""
    solved = proof(ProofOfWork(KEY, draw=draw).pose(BOUND, effort=effort, now=NOW))
    assert solved["solution"]["counter"] < max(1, effort // ROUNDS)


def test_a_vendors_check_shows_its_kind_and_public_key() -> None:
    """A page never sees the vendor's URL or secret."""
    rules = HumanRules(kind="siteverify", url="https://vendor.example/siteverify", site_key="1x00AA")
    assert rules.of_vendor() == {"kind": "siteverify", "site_key": "1x00AA"}


def test_a_page_gets_kind_and_time() -> None:
    """Beside the widget's parameters, which have no expiry for a phone's clock to compare."""
    assert POSED["kind"] == "altcha"
    assert POSED["expires_in"] == 300
    assert "expiresAt" not in POSED["challenge"]["parameters"]


def test_a_proof_fits_its_field() -> None:
    """With room for what a later widget may add."""
    heavy = CHECK.pose("b" * 43, effort=MOST, now=NOW)
    made = {**heavy, "solution": {"counter": MOST, "derivedKey": "0" * 64, "time": 12345.6}}
    assert len(encoded(made)) < MAX_PROOF / 2


@PATIENT
@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_effort_never_falls_as_a_counter_rises(one: float, other: float) -> None:
    """It stays between its bounds, however high the counter is."""
    low, high = sorted((one, other))
    assert LEAST <= effort_for(low) <= effort_for(high) <= MOST


@pytest.mark.parametrize(
    ("over", "effort"),
    [(-1, LEAST), (0, LEAST), (0.25, 2 * LEAST), (1, 16 * LEAST), (2, MOST), (1e300, MOST)],
)
def test_effort_doubles_with_each_quarter(over: float, effort: int) -> None:
    """Above the threshold."""
    assert effort_for(over) == effort
