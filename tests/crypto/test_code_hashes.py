"""How codes are drawn, tied to what they are for, hashed and checked."""

import ast
import base64
import hashlib
import hmac
import inspect
import math
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from hypothesis import assume, given
from hypothesis import strategies as st

from otp_service.crypto import code_hashes
from otp_service.crypto.code_hashes import (
    DIGEST_BYTES,
    PROFILES,
    TICKETS_PER_SLOT,
    Claim,
    Hasher,
    UnknownPepper,
    digest_of,
    draw,
    place_of,
)
from otp_service.crypto.hashing_threads import LITTLE, HashingThreads
from otp_service.errors import Busy
from tests.support.examples import PATIENT
from tests.support.patience import PATIENCE

PEPPER, OTHER_PEPPER = b"p" * 32, b"q" * 32
CLAIM = Claim("00challenge-id", "login", "")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
DRAWS = 200_000


def hasher(**peppers: bytes) -> Hasher:
    """Make a hasher with the cheapest profile; the first pepper is the current one."""
    return Hasher(peppers or {"p1": PEPPER}, "testing", 1)


def found(made: Hasher, code: str, claim: Claim, scheme: str, hashes: Sequence[str]) -> int | None:
    """Return the place of the hash that belongs to a code, or None."""
    return place_of(made.hash(code, claim, scheme), hashes)


def chi_square(found: Counter[str], cells: int) -> float:
    """Return by how many standard deviations the counts exceed those of a uniform distribution.

    With few cells the statistic has a long tail, so that it is turned into a normal one (Wilson and Hilferty, 1931).
    """
    expected = sum(found.values()) / cells
    statistic = sum((count - expected) ** 2 / expected for count in found.values())
    statistic += (cells - len(found)) * expected
    freedom = cells - 1
    spread = 2 / (9 * freedom)
    return (math.cbrt(statistic / freedom) - 1 + spread) / math.sqrt(spread)


# Drawing.


@pytest.mark.parametrize("length", [6, 7, 8, 10])
def test_a_code_has_as_many_ascii_digits_as_asked_for(length: int) -> None:
    """Leading zeros are kept, and only the digits 0 to 9 occur."""
    drawn = [draw(length) for _ in range(2000)]
    assert {len(code) for code in drawn} == {length}
    assert set("".join(drawn)) == set("0123456789")
    assert any(code.startswith("0") for code in drawn)


def test_codes_are_uniform() -> None:
    """Over 200,000 draws every three-digit head, tail and each digit's place is as frequent as the others.

    Seven standard deviations: a true generator fails this once in far more runs than will ever be made, a
    biased one (a modulo, a forbidden leading zero) by hundreds.
    """
    drawn = [draw(6) for _ in range(DRAWS)]
    for part in (slice(0, 3), slice(3, 6)):
        assert chi_square(Counter(code[part] for code in drawn), 1000) < 7
    for place in range(6):
        assert chi_square(Counter(code[place] for code in drawn), 10) < 7


def test_neighbouring_codes_are_independent() -> None:
    """Pairs of digits across two draws are uniform as well: one code tells nothing about the next."""
    drawn = [draw(6) for _ in range(DRAWS)]
    pairs = Counter(a[5] + b[0] for a, b in zip(drawn[::2], drawn[1::2], strict=True))
    assert chi_square(pairs, 100) < 7


def test_codes_come_from_the_systems_generator() -> None:
    """The module draws with `secrets` and does not know `random` (ASVS 6.5.3)."""
    tree = ast.parse(inspect.getsource(code_hashes))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert "secrets" in imported
    assert "random" not in imported


# Hashing.


@pytest.mark.parametrize(
    ("profile", "prefix"),
    [
        ("owasp", "$argon2id$v=19$m=19456,t=2,p=1$"),
        ("owasp-low-memory", "$argon2id$v=19$m=7168,t=5,p=1$"),
        ("fast", "$argon2id$v=19$m=1024,t=1,p=1$"),
        ("testing", "$argon2id$v=19$m=8,t=1,p=1$"),
    ],
)
def test_a_hash_is_a_phc_string_that_argon2_cffi_verifies(profile: str, prefix: str) -> None:
    """The library's own PasswordHasher accepts the hash, and only for the peppered digest."""
    made = Hasher({"p1": PEPPER}, profile, 1)
    assert made.scheme == f"{profile}.p1"
    phc = made.hash("012345", CLAIM, made.scheme)
    assert phc.startswith(prefix)
    digest = hmac.digest(PEPPER, CLAIM.encode("012345"), hashlib.sha256)
    assert PasswordHasher().verify(phc, digest)
    for wrong in (b"012345", CLAIM.encode("012345"), hmac.digest(PEPPER, CLAIM.encode("012346"), "sha256")):
        with pytest.raises(VerifyMismatchError):
            PasswordHasher().verify(phc, wrong)


def test_salts_have_16_bytes_and_differ_between_challenges() -> None:
    """Two challenges with the same code have different salts and hashes. One challenge has one salt."""
    one, again, other = (
        hasher().hash(code, Claim(id_, "login", ""), "testing.p1").split("$")[4:]
        for code, id_ in (("123456", "a"), ("654321", "a"), ("123456", "b"))
    )
    assert one[0] == again[0] != other[0]
    assert one[1] != again[1]
    assert one[1] != other[1]
    assert len(one[0]) == math.ceil(16 * 4 / 3)  # in Base64 without padding


def test_every_profile_states_what_it_costs() -> None:
    """No profile is below the minimum of Argon2, and the default is the first choice of OWASP."""
    assert next(iter(PROFILES)) == "owasp"
    assert (PROFILES["owasp"].passes, PROFILES["owasp"].memory, PROFILES["owasp"].lanes) == (2, 19456, 1)


# Checking.


def test_a_code_is_known_by_the_hash_it_belongs_to() -> None:
    """The place of the hash tells which delivery brought the code. Any other code matches none."""
    made = hasher()
    live = [f"{place}{draw(5)}" for place in range(4)]
    hashes = [made.hash(code, CLAIM, made.scheme) for code in live]
    assert [found(made, code, CLAIM, made.scheme, hashes) for code in live] == list(range(4))
    assert found(made, f"9{draw(5)}", CLAIM, made.scheme, hashes) is None
    assert found(made, live[0], CLAIM, made.scheme, []) is None


def test_a_check_runs_argon2_once_however_many_codes_are_live() -> None:
    """Hashes of a challenge share salt, profile and pepper: one computed string is compared with each.

    Seen from outside: the string that the hasher computes for the code matches as it stands, and a hash of
    the same code with another salt, which only a run of its own could verify, does not.
    """
    made = hasher()
    computed = made.hash("123456", CLAIM, made.scheme)
    salted_otherwise = PasswordHasher(1, 8, 1).hash(
        hmac.digest(PEPPER, CLAIM.encode("123456"), hashlib.sha256)
    )
    assert found(made, "123456", CLAIM, made.scheme, [salted_otherwise]) is None
    assert found(made, "123456", CLAIM, made.scheme, [salted_otherwise, computed]) == 1


@PATIENT
@given(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
def test_a_change_in_any_part_voids_the_code(
    id_: str, purpose: str, binding: str, other_id: str, other_purpose: str, other_binding: str
) -> None:
    """The challenge, the purpose and the binding are all part of what is hashed."""
    made = hasher()
    claim = Claim(id_, purpose, binding)
    hashes = [made.hash("123456", claim, made.scheme)]
    assert found(made, "123456", claim, made.scheme, hashes) == 0
    for other in (
        Claim(other_id, purpose, binding),
        Claim(id_, other_purpose, binding),
        Claim(id_, purpose, other_binding),
    ):
        assert found(made, "123456", other, made.scheme, hashes) == (0 if other == claim else None)


@PATIENT
@given(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), st.tuples(TEXTS, TEXTS, TEXTS, TEXTS))
def test_no_two_claims_are_encoded_alike(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """Different parts give different bytes, wherever the parts are divided."""
    assume(one != other)
    assert Claim(*one[:3]).encode(one[3]) != Claim(*other[:3]).encode(other[3])


@PATIENT
@given(TEXTS, st.tuples(*[st.integers(0, 12)] * 3))
def test_moving_a_border_changes_the_encoding(text: str, places: tuple[int, int, int]) -> None:
    """The same characters split in another place are another claim."""
    a, b, c = sorted(min(place, len(text)) for place in places)
    split = Claim(text[:a], text[a:b], text[b:c]).encode(text[c:])
    whole = Claim(text, "", "").encode("")
    assert (split == whole) == (a == b == c == len(text))


def test_the_code_of_a_review_number_is_bound_to_its_app_and_number() -> None:
    """As it is stored in policies: another spelling would void the codes that app stores have."""
    claim = Claim.of_review("web", "+12025550100")
    assert claim == Claim("review web +12025550100", "", "")
    assert Claim.of_review("web", "+12025550100", "12.00 EUR") == Claim(
        "review web +12025550100", "", "12.00 EUR"
    )
    assert claim.encode("000000") == (b"\0\0\0\x17review web +12025550100\0\0\0\0\0\0\0\0\0\0\0\x06000000")


# Peppers.


def test_a_pepper_rotates_without_voiding_live_codes() -> None:
    """A challenge keeps the pepper that it was opened with. New challenges get the newest."""
    old = hasher(p1=PEPPER)
    hashes = [old.hash("123456", CLAIM, old.scheme)]
    new = hasher(p2=OTHER_PEPPER, p1=PEPPER)
    assert new.scheme == "testing.p2"
    assert found(new, "123456", CLAIM, old.scheme, hashes) == 0
    assert found(new, "123456", CLAIM, new.scheme, hashes) is None
    fresh = [new.hash("123456", CLAIM, new.scheme)]
    assert fresh != hashes
    assert found(new, "123456", CLAIM, new.scheme, fresh) == 0


@pytest.mark.parametrize("scheme", ["testing.p1", "testing.", "testing", "gone.p2", ".p2", ""])
def test_a_pepper_or_profile_that_is_gone_is_named(scheme: str) -> None:
    """A removed pepper or profile raises an error. No other is used in its place."""
    made = hasher(p2=OTHER_PEPPER)
    with pytest.raises(UnknownPepper, match=f"^{re.escape(scheme)}$"):
        made.hash("123456", CLAIM, scheme)
    with pytest.raises(UnknownPepper):
        found(made, "123456", CLAIM, scheme, ["$argon2id$"])


def test_a_stolen_store_tells_nothing_without_the_pepper() -> None:
    """A thief with the salt and the hash but without the pepper cannot find the code by trying all codes."""
    code = f"{secrets.randbelow(200):06d}"
    stolen = hasher(p1=secrets.token_bytes(32)).hash(code, CLAIM, "testing.p1")
    thief = hasher(p1=secrets.token_bytes(32))
    tried = (found(thief, f"{guess:06d}", CLAIM, "testing.p1", [stolen]) for guess in range(200))
    assert {*tried} == {None}


# Places to hash.


def test_a_check_without_a_ticket_is_told_when_to_come_again() -> None:
    """When all tickets are taken a wait ends in Busy. A ticket that was given back can be taken again."""
    made = hasher()
    with ExitStack() as held:
        for _ in range(TICKETS_PER_SLOT - 1):
            held.enter_context(made.ticket(0))
        with made.ticket(0), pytest.raises(Busy) as caught, made.ticket(0.01):
            pytest.fail("there was another ticket")
        assert caught.value.retry_after
        with made.ticket(0):
            pass


def test_a_ticket_holds_no_core() -> None:
    """A check that waits for the store with its ticket keeps no other one from hashing."""
    made = hasher()
    with made.ticket(0), made.ticket(0):
        assert made.hash("493817", CLAIM, "testing.p1")


def test_only_few_threads_keep_the_memory_of_a_large_hash() -> None:
    """However many callers there are."""
    who: set[str] = set()
    profile = "owasp-low-memory"
    made = Hasher({"p1": PEPPER}, profile, 2, observe=lambda _: who.add(threading.current_thread().name))
    with ThreadPoolExecutor(8) as callers:
        hashes = callers.map(lambda _: made.hash("493817", CLAIM, made.scheme), range(10))
        assert len({*hashes}) == 1
    assert who
    assert who <= {"hash_0", "hash_1"}


def test_a_small_hash_is_made_in_its_callers_thread_as_many_at_a_time_as_there_are_slots() -> None:
    """Who waits for a turn makes none meanwhile."""
    threads, busy, most = HashingThreads(2), [0], [0]
    full, guarded = threading.Barrier(2), threading.Lock()

    def act() -> str:
        with guarded:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        full.wait(PATIENCE)  # so that two are busy, whoever they are, while eight want to be
        with guarded:
            busy[0] -= 1
        return threading.current_thread().name

    with ThreadPoolExecutor(8, thread_name_prefix="caller") as callers:
        names = {*callers.map(lambda _: threads.run(act, LITTLE), range(40))}
    assert most == [2]
    assert all(name.startswith("caller") for name in names)


def test_a_hash_that_fails_keeps_no_other_one_out() -> None:
    """Its caller gets the error, and the thread goes on."""
    made = hasher()
    for _ in range(3):
        with pytest.raises(UnknownPepper):
            made.hash("493817", CLAIM, "testing.p9")
    assert made.hash("493817", CLAIM, "testing.p1")


@pytest.mark.parametrize("profile", ["testing", "owasp-low-memory"])
def test_who_stops_while_waiting_for_a_turn_does_not_hash(profile: str) -> None:
    """Whether the process is to stop counts when the turn comes."""
    made, memory = Hasher({"p1": PEPPER}, profile, 1), PROFILES[profile].memory
    began, free, stop = threading.Event(), threading.Event(), threading.Event()

    def hold() -> bool:
        began.set()
        return free.wait(PATIENCE)

    with ThreadPoolExecutor(2) as callers:
        taken = callers.submit(made.threads.run, hold, memory)
        assert began.wait(PATIENCE)
        waiting = callers.submit(made.hash_unless, stop.is_set, "493817", CLAIM, made.scheme)
        stop.set()
        free.set()
        assert taken.result()
        assert waiting.result(PATIENCE) is None
    assert made.hash_unless(lambda: False, "493817", CLAIM, made.scheme)


def test_a_ticket_is_given_back_once_however_its_use_ends() -> None:
    """A use that fails frees its ticket, and a wait that fails frees none, so their number never changes."""
    made = hasher()
    with ExitStack() as held:
        for _ in range(TICKETS_PER_SLOT - 1):
            held.enter_context(made.ticket(0))
        with suppress(RuntimeError), made.ticket(0):
            raise RuntimeError
        for _ in range(2):
            with made.ticket(0), pytest.raises(Busy), made.ticket(0):
                pytest.fail("there was another ticket")


def test_a_hasher_names_every_scheme_that_it_can_check() -> None:
    """The names are those by which challenges remember profile and pepper."""
    made = hasher(p2=OTHER_PEPPER, p1=PEPPER)
    assert made.scheme in made.schemes
    assert {*made.schemes} == {f"{profile}.{pepper}" for profile in PROFILES for pepper in ("p1", "p2")}
    for scheme in made.schemes:
        if scheme.startswith("testing"):
            assert made.hash("123456", CLAIM, scheme)


def test_processes_of_two_releases_find_the_same_hash() -> None:
    """While a release rolls out, one makes the hash and another checks it: salt and claim are always written alike."""
    made = hasher().hash("123456", Claim("00challenge-id", "login", "12.00 EUR"), "testing.p1")
    assert made == "$argon2id$v=19$m=8,t=1,p=1$eHcEb6Zgj/2Hk8qGBaRrGw$8oxKba/4aLJGUa4c7hyD/g"


def test_a_pepper_may_have_any_name() -> None:
    """Such as a date with dots: the profile ends at the first one."""
    made = hasher(**{"2026.11.28": PEPPER})
    assert made.scheme == "testing.2026.11.28"
    assert made.hash("123456", CLAIM, made.scheme) == hasher(p1=PEPPER).hash("123456", CLAIM, "testing.p1")


def test_each_hash_tells_its_seconds_and_each_wait_is_seen() -> None:
    """Operators see how long hashing takes, and who waits for a thread or a ticket."""
    seconds: list[float] = []
    waits: list[str] = []

    @contextmanager
    def waiting() -> Iterator[None]:
        waits.append("begins")
        yield
        waits.append("ends")

    made = Hasher({"p1": PEPPER}, "testing", 1, waiting=waiting, observe=seconds.append)
    started = time.perf_counter()
    made.hash("123456", CLAIM, made.scheme)
    assert 0 < seconds[0] <= time.perf_counter() - started
    assert waits == ["begins", "ends"]
    with made.ticket(0):
        assert waits == ["begins", "ends"] * 2


def test_the_digest_is_128_bits_and_nothing_else() -> None:
    """A record holds one for each live code, so what all of them share would be stored again and again."""
    made = hasher()
    whole = made.hash("123456", CLAIM, made.scheme)
    digest = digest_of(whole)
    assert len(base64.b64decode(f"{digest}==", validate=True)) == DIGEST_BYTES == 16
    assert whole.endswith(f"${digest}")


def test_the_digest_tells_the_codes_of_one_challenge_apart() -> None:
    """It is what Argon2 computed, without the parameters that all codes share."""
    made = hasher()
    hashes = [made.hash(code, CLAIM, made.scheme) for code in ("000000", "000001")]
    assert [place_of(digest_of(one), [digest_of(other) for other in hashes]) for one in hashes] == [0, 1]
    assert all(one.endswith(f"${digest_of(one)}") for one in hashes)
