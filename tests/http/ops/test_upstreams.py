"""GET /ops/upstreams."""

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


def test_operators_see_what_is_wrong_with_an_upstream(api: Api) -> None:
    """An account that does not answer is shown as such; the call itself succeeds."""
    answer = api.call("GET", "/ops/upstreams", key=OPS)
    (main,) = members(answer)["upstreams"]
    assert (answer.status_code, main["balance"]) == (200, [])
    assert main["status"].startswith("The upstream account main gave no usable answer")
