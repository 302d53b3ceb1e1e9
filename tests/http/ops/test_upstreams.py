"""GET /ops/upstreams."""

from otp_service.ops.balances import ASK_WITHIN, AskedBalances
from tests.conftest import OPS
from tests.support.http_api import (
    Api,
)
from tests.support.http_calls import members

pytest_plugins = ["tests.support.http_fixtures"]


def test_operators_see_the_balance_of_each_upstream(live: Api) -> None:
    """The balance is live, with one row for each of the upstream's services."""
    answer = live.call("GET", "/ops/upstreams", key=OPS)
    (main,) = members(answer)["upstreams"]
    assert (main["name"], main["status"]) == ("main", "ok")
    assert {row["service"] for row in main["balance"]} >= {"T", "P"}
    assert all(row["credits"] > 0 for row in main["balance"])


def test_accounts_are_not_asked_when_those_before_took_too_long(api: Api) -> None:
    """A call about many accounts that do not answer ends all the same."""
    moments = iter([0.0, ASK_WITHIN + 0.1])
    asked = AskedBalances(budget=api.core.store.get_budget, clock=lambda: next(moments))
    (main,) = asked.read(api.core.active())
    assert main["status"] == "not asked: the accounts before it took too long"


def test_operators_see_what_is_wrong_with_an_upstream(api: Api) -> None:
    """An account that does not answer is shown as such; the call itself succeeds."""
    answer = api.call("GET", "/ops/upstreams", key=OPS)
    (main,) = members(answer)["upstreams"]
    assert (answer.status_code, main["balance"]) == (200, [])
    assert main["status"].startswith("The upstream account main gave no usable answer")
