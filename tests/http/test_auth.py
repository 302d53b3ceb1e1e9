"""Which key may make which call."""

import pytest

from tests.conftest import OPS, PUBLISHABLE, SECRET
from tests.support.http_api import (
    Api,
)
from tests.support.http_calls import CALLS, call_named, problem_of

pytest_plugins = ["tests.support.http_fixtures"]


ALLOWED = {
    PUBLISHABLE: {"send", "verify", "status", "resend", "cancel"},
    SECRET: {"send", "verify", "status", "resend", "cancel", "redeem"},
    OPS: {"upstreams"},
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("key", ALLOWED, ids=["publishable", "secret", "ops"])
def test_a_key_may_make_only_the_calls_of_its_kind(api: Api, name: str, key: str) -> None:
    """Publishable keys cannot redeem, apps' keys cannot operate, operators' keys cannot send."""
    answer = call_named(api, name, key)
    if name in ALLOWED[key]:
        assert answer.status_code not in {401, 403}
    else:
        assert problem_of(answer) == (403, "key_not_allowed")
        assert api.kept() == {}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_key"),
        ({"Authorization": ""}, "missing_key"),
        ({"Authorization": "Bearer"}, "missing_key"),
        ({"Authorization": "Bearer  "}, "missing_key"),
        ({"Authorization": f"Basic {SECRET}"}, "missing_key"),
        ({"Authorization": SECRET}, "missing_key"),
        ({"Authorization": f"Bearer {SECRET}x"}, "unknown_key"),
        ({"Authorization": f"Bearer {SECRET[:-1]}"}, "unknown_key"),
        ({"Authorization": f"Bearer {SECRET.upper()}"}, "unknown_key"),
        ({"Authorization": "Bearer \xff\xfe"}, "unknown_key"),
    ],
)
def test_a_call_without_a_known_key_is_refused(
    api: Api, name: str, headers: dict[str, str], code: str
) -> None:
    """401 says how to send a key; nothing is stored."""
    answer = call_named(api, name, None, headers)
    assert problem_of(answer) == (401, code)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert api.kept() == {}


def test_the_authorization_scheme_is_case_insensitive(api: Api) -> None:
    """RFC 9110 says so."""
    assert call_named(api, "send", None, {"Authorization": f"bearer {SECRET}"}).status_code == 202
