"""Review numbers in the policy: what an entry may say, and which numbers could be somebody's."""

import re

import pytest

from otp_service import policy
from otp_service.policy.review import is_fictional
from tests.policy.test_checks import GOOD, refused

HASH = f"owasp.p1 $argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'b' * 22}"
ENTRY = f"""[app.web.review."+12025550150"]
code = "{HASH}"
digits = 6
purposes = ["login"]
since = "2026-11-27"
expires = "2027-02-25"
"""


def test_an_entry_is_read() -> None:
    """Ninety days are the longest."""
    [(number, review)] = policy.parse(GOOD + ENTRY).apps["web"].review.items()
    assert (number, review.scheme, review.digest) == ("+12025550150", "owasp.p1", "b" * 22)
    assert review.expires - review.since == 90 * 86_400_000
    assert policy.parse(GOOD + ENTRY).warnings == ()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("2027-02-25", "2027-02-26"), ".expires: must be 1 to 90 days after since"),
        (("2027-02-25", "2026-11-27"), ".expires: must be 1 to 90 days after since"),
        (('"2027-02-25"', "2027-02-25"), '.expires: must be a day such as "2026-11-27"'),
        (("2027-02-25", "2027-2-25"), '.expires: must be a day such as "2026-11-27"'),
        (("2027-02-25", "2027-02-30"), '.expires: must be a day such as "2026-11-27"'),
        (('["login"]', "[]"), ".purposes: must not be empty"),
        (
            ('["login"]', '["Log in"]'),
            ".purposes[0]: must be 1 to 32 lower-case letters, digits, '.', '-' or '_'",
        ),
        (("digits = 6", "digits = 4"), ".digits: must be from 6 to 10"),
        ((HASH, "123456"), ".code: must be the hash of a code, as otp-service review add writes it"),
        (
            (HASH, HASH.removeprefix("owasp.p1 ")),
            ".code: must be the hash of a code, as otp-service review add writes it",
        ),
        (("digits = 6", "digits = 6\nbinding = true"), ".binding: unknown field"),
    ],
)
def test_a_mistake_is_named(change: tuple[str, str], problem: str) -> None:
    """With its place."""
    assert change[0] in ENTRY
    [found] = refused(GOOD + ENTRY.replace(*change))
    assert re.sub(r" \(line [0-9]+\)", "", found) == f'app.web.review."+12025550150"{problem}'


@pytest.mark.parametrize("number", ["+12025550", "12025550150", "+1 202 555 0150", "nobody"])
def test_a_number_is_written_as_it_is_compared(number: str) -> None:
    """E.164, and one that a send would take."""
    [found] = refused(GOOD + ENTRY.replace("+12025550150", number))
    assert "must be a number that is known in its country" in found


def test_an_app_has_ten_at_most_and_none_beside_payments() -> None:
    """More could not be looked after; a payment needs a proof."""
    many = [ENTRY.replace("0150", f"01{place}") for place in range(50, 61)]
    assert policy.parse(GOOD + "".join(many[:10])).apps["web"].review
    [found] = refused(GOOD + "".join(many))
    assert "app.web.review: must have at most 10 numbers" in found
    paying = GOOD.replace('brand = "Acme"', 'brand = "Acme"\nbinding = "in_message"') + ENTRY
    assert any("must be left out of an app with a binding" in one for one in refused(paying))
    flat = GOOD.replace('brand = "Acme"', 'brand = "Acme"\nreview = 1')
    assert any("must be a table for each number" in one for one in refused(flat))


@pytest.mark.parametrize("number", ["+12025551150", "+919876543210", "+447911123456"])
def test_a_number_that_could_be_somebodys_is_warned_of(number: str) -> None:
    """Its owner could not use the app."""
    [warning] = policy.parse(GOOD + ENTRY.replace("+12025550150", number)).warnings
    assert f'app.web.review."{number}": may be somebody\'s' in warning


@pytest.mark.parametrize(
    ("number", "fictional"),
    [
        ("+12025550100", True),
        ("+14165550199", True),
        ("+12025550200", False),
        ("+12025560150", False),
        ("+447700900123", True),
        ("+447700901123", False),
        ("+442079460999", True),
        ("+61491570156", True),
        ("+61491570006", True),
        ("+61491570155", False),
        ("+33639981234", True),
        ("+33639991234", False),
        ("+46701740605", True),
        ("+46701740699", True),
        ("+46701740604", False),
        ("+4670174060512", False),
    ],
)
def test_ranges_for_fiction_are_known_to_the_digit(number: str, *, fictional: bool) -> None:
    """As the regulators publish them."""
    assert is_fictional(number) is fictional


def test_an_entry_counts_for_its_purposes_on_its_days() -> None:
    """In UTC; the last day is the one before it expires."""
    entry = policy.parse(GOOD + ENTRY.replace("2027-02-25", "2026-11-28")).apps["web"].review["+12025550150"]
    day = 1_795_737_600_000
    found = [entry.counts("login", day + moved) for moved in (-1, 0, 86_399_999, 86_400_000)]
    assert found == [False, True, True, False]
    assert not entry.counts("payment", day)
