"""The budget of GET requests to an account."""

from otp_service.bootstrap.stores import Stores
from otp_service.upstream.get_budget import WINDOW


def test_an_account_gets_requests_up_to_its_budget(store: Stores) -> None:
    """As many in any 66 s as the budget allows; another account has its own."""
    assert [store.get_budget.take("main", 2) for _ in range(3)] == [True, True, False]
    assert store.get_budget.take("spare", 2)
    store.scripts.offset += 1000 * (WINDOW - 30)
    assert not store.get_budget.take("main", 2)
    store.scripts.offset += 30_000
    assert [store.get_budget.take("main", 2) for _ in range(3)] == [True, True, False]
