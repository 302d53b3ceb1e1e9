"""A replica is promoted while a link is cut: what was answered holds. `tests.system.promotions` does it 200 times."""

import pytest

from tests.system.promotions import promote

ROUNDS = 6


@pytest.mark.slow
def test_nothing_is_used_twice_across_promotions() -> None:
    """No code verifies twice, no token is redeemed twice, no guess is evaluated too many; most of it did happen."""
    tally = promote(ROUNDS)
    assert tally.rounds == ROUNDS
    assert tally.twice == []
    assert tally.answers["store_unavailable"], "no cut was noticed"
    assert tally.answers["verified"]
    assert tally.answers["redeemed"]
    assert tally.answers["wrong_code"]
