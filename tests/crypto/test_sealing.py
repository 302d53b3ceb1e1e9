"""What the store may know of a number: nothing without our keys."""

import base64

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from otp_service.crypto.sealing import Seal, Unsealable
from tests.support.examples import PATIENT

OLD, NEW, SUBJECT = b"o" * 32, b"n" * 32, b"s" * 32
LOOKUP = {"l1": b"l" * 32}
NUMBER = "+14155552671"
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
SEAL = Seal({"k1": OLD}, LOOKUP, SUBJECT)


@PATIENT
@given(TEXTS, TEXTS)
def test_a_sealed_text_comes_back_for_its_owner(text: str, owner: str) -> None:
    """Any text opens unchanged for the owner for whom it was sealed."""
    assert SEAL.open(SEAL.close(text, owner), owner) == text


@PATIENT
@given(TEXTS, TEXTS, TEXTS)
def test_a_sealed_text_opens_for_nobody_else(text: str, owner: str, other: str) -> None:
    """Moved to another record a value is worthless."""
    assume(owner != other)
    with pytest.raises(Unsealable):
        SEAL.open(SEAL.close(text, owner), other)


def test_the_same_text_is_never_sealed_alike() -> None:
    """Two sealed values do not reveal that they are of the same number."""
    sealed = {SEAL.close(NUMBER, "owner") for _ in range(100)}
    assert len(sealed) == 100
    assert not any(NUMBER[1:] in one for one in sealed)


def test_keys_rotate_without_losing_what_older_ones_sealed() -> None:
    """The newest key seals; all keys open."""
    old = SEAL.close(NUMBER, "owner")
    rotated = Seal({"k2": NEW, "k1": OLD}, LOOKUP, SUBJECT)
    assert old.startswith("k1.")
    assert rotated.close(NUMBER, "owner").startswith("k2.")
    assert rotated.open(old, "owner") == NUMBER


def test_a_key_that_is_gone_is_named() -> None:
    """Without its key a value cannot be opened, and the error names the key."""
    with pytest.raises(Unsealable, match="k1"):
        Seal({"k2": NEW}, LOOKUP, SUBJECT).open(SEAL.close(NUMBER, "owner"), "owner")


def test_another_key_of_the_same_name_opens_nothing() -> None:
    """The id is not trusted, the key is."""
    with pytest.raises(Unsealable):
        Seal({"k1": NEW}, LOOKUP, SUBJECT).open(SEAL.close(NUMBER, "owner"), "owner")


@PATIENT
@given(st.integers(0, 200), st.integers(1, 255))
def test_a_changed_value_is_refused(place: int, change: int) -> None:
    """One bit anywhere, in nonce, text or tag: nothing opens."""
    key_id, _, body = SEAL.close(NUMBER, "owner").partition(".")
    raw = bytearray(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    raw[place % len(raw)] ^= change
    with pytest.raises(Unsealable):
        SEAL.open(f"{key_id}.{base64.urlsafe_b64encode(raw).decode()}", "owner")


@PATIENT
@given(st.text(max_size=60))
@example("0" * 60)
def test_garbage_is_refused_as_such(garbage: str) -> None:
    """No content of the record opens anything or causes an error, nor any beginning of a sealed text."""
    beginning = SEAL.close(NUMBER, "owner")[:-1]
    for value in (garbage, f"k1.{garbage}", beginning[: len(garbage)]):
        with pytest.raises(Unsealable):
            SEAL.open(value, "owner")


def test_a_number_is_looked_up_by_a_key_that_tells_nothing() -> None:
    """The same parts give the same 22 characters, with our key only."""
    index = SEAL.index("number", NUMBER)
    assert index == SEAL.index("number", NUMBER)
    assert len(index) == 22
    assert index != Seal({"k1": OLD}, {"l1": NEW}, SUBJECT).index("number", NUMBER)
    assert set(index) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@PATIENT
@given(st.lists(TEXTS, max_size=4), st.lists(TEXTS, max_size=4))
def test_different_parts_have_different_indexes(one: list[str], other: list[str]) -> None:
    """Wherever the parts are divided."""
    assume(one != other)
    assert SEAL.index(*one) != SEAL.index(*other)


RING = Seal({"k1": OLD}, {"l2": NEW, "l1": LOOKUP["l1"]}, SUBJECT)


@PATIENT
@given(st.lists(TEXTS, max_size=4))
def test_what_an_older_lookup_key_named_is_still_known(parts: list[str]) -> None:
    """The newest key makes new names; all keys of the ring find them, newest first."""
    assert RING.indexes(*parts) == (RING.index(*parts), SEAL.index(*parts))
    assert SEAL.indexes(*parts) == (SEAL.index(*parts),)


@PATIENT
@given(st.binary(min_size=16, max_size=16), st.integers(0, 255))
def test_a_reference_leads_back_to_its_challenge_whatever_key_made_it(id_: bytes, partition: int) -> None:
    """While that key is in the ring, first or later; each reference is another, and none shows the id."""
    challenge = f"{partition:02x}{base64.urlsafe_b64encode(id_).decode().rstrip('=')}"
    newest, older = RING.reference(challenge), SEAL.reference(challenge)
    assert len(newest) == len(older) == 28
    assert next(RING.challenges_of(newest)) == challenge
    assert list(RING.challenges_of(older))[1] == challenge
    assert challenge not in SEAL.challenges_of(newest)
    assert challenge[2:] not in newest + older


@PATIENT
@given(st.text(max_size=40))
def test_a_foreign_reference_breaks_nothing(reference: str) -> None:
    """It may look like one of ours, and then names challenges that do not exist; most name none."""
    assert all(len(found) == len(reference[:2]) + 22 for found in RING.challenges_of(reference))


def test_a_person_is_the_same_to_an_app_whatever_lookup_key_is_newest() -> None:
    """`sub` is not a lookup key: it must survive every rotation, and apps must not be able to compare it."""
    assert RING.subject("web", NUMBER) == SEAL.subject("web", NUMBER)
    assert RING.subject("web", NUMBER) != RING.subject("other", NUMBER)
    assert RING.subject("web", NUMBER) not in RING.indexes("web", NUMBER)
