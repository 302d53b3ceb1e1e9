"""Operators' calls have a few places: more of them are refused at once, and apps' calls go on."""

from contextlib import ExitStack

from otp_service.ops.places import OPS_PLACES
from tests.conftest import OPS
from tests.support.http_api import NUMBER, Api
from tests.support.http_calls import problem_of

pytest_plugins = ["tests.support.http_fixtures"]


def test_when_all_places_are_taken_operators_are_told_to_come_again_and_apps_are_served(api: Api) -> None:
    """Whatever the call; each place is given back when its call has ended, also by an error."""
    with ExitStack() as running:
        for _ in range(OPS_PLACES):
            running.enter_context(api.core.ops_places.take())
        for path in ("/ops/policy/history", "/ops/keys", "/metrics"):
            refused = api.call("GET", path, key=OPS)
            assert problem_of(refused) == (503, "busy")
            assert refused.headers["Retry-After"] == "1"
        assert api.call("GET", "/ops/keys", key="ops_unknown").status_code == 401
        assert api.send(NUMBER).status_code == 202
    for _ in range(OPS_PLACES + 1):
        assert api.call("GET", "/ops/policy/7", key=OPS).status_code == 404


def test_metrics_ask_for_the_key_of_an_operator(api: Api) -> None:
    """On a port that apps use; any role may read them."""
    assert problem_of(api.call("GET", "/metrics", key=None)) == (401, "missing_key")
    assert problem_of(api.call("GET", "/metrics")) == (403, "key_not_allowed")
    assert api.call("GET", "/metrics", key=OPS).status_code == 200
