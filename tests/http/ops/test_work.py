"""What a call of operators costs the store: a few round trips, however much there is to list."""

from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from typing import Any

import pytest

from otp_service.ops.audit import AuditNote
from otp_service.ops.pins import Pin
from otp_service.ops.stories import Search
from tests.conftest import OPS, POLICY, SECRET
from tests.http.ops.test_access import NO_KEY, views
from tests.support.http_api import GOOD, NOTHING, NUMBER, Api, close, make_api
from tests.support.numbers import crowd
from tests.support.spine import OPEN_GUARD
from tests.support.valkey_server import ValkeyServer

MANY = 120
"""Of each thing that is listed: more than fit on a page of 100."""
FEW = 16
"""Round trips that one call may take, besides those of `MORE`."""
MORE = {
    "ops_numbers.recycle_numbers": 20,  # a thousand numbers, a hundred at a time in two steps
    "ops_figures.list_figures": 48,  # an hour or day at a time, so that nobody waits for a long read
    "ops_figures.list_advice": 35,
    "ops_numbers.forget_number": 64,  # every partition is walked, a step at a time
}
WHY = {"reason": "r"}
APP = {"name": "shop", "brand": "Shop"} | WHY
BODIES: dict[str, dict[str, Any]] = {
    "ops_policy.check_policy": {"text": GOOD},
    "ops_policy.apply_policy": {"text": GOOD} | WHY,
    "ops_policy.rollback_policy": {"version": 1} | WHY,
    "ops_policy.simulate_send": {"to": NUMBER},
    "ops_challenges.search_challenges": {"since": 1, "limit": 100},
    "ops_numbers.recycle_numbers": {"numbers": list(islice(crowd(), 1000))} | WHY,
    "ops_access.create_key": {"kind": "secret", "owner": "web"},
    "ops_access.create_app": APP | {"keys": True},
    "ops_guard.explain_send": {"to": NUMBER, "address": "192.0.2.1", "session": "s"},
    "ops_guard.create_pin": {"kind": "prefix", "subject": "+4479", "what": "refuse"} | WHY,
    "ops_guard.lift_pin": {"kind": "prefix", "subject": "+4479"} | WHY,
    "ops_numbers.forget_number": {"to": NUMBER},
    "ops_numbers.get_suppression": {"to": NUMBER},
    "ops_numbers.lift_suppression": {"to": NUMBER},
}
"""What is sent where a reason alone would be refused before the store is asked."""
EMPTIES = (
    *("ops_guard.lift_block", "ops_numbers.recycle_numbers"),
    *("ops_access.revoke_key", "ops_access.remove_app"),
)
"""What leaves less to list for the others."""


@pytest.fixture(scope="module")
def full(valkey: ValkeyServer) -> Iterator[Api]:
    """Give a service that has many challenges, blocks, pins, keys and versions of its policy."""
    guard = OPEN_GUARD.replace('refuse = ["1000000/d"]', 'refuse = ["1/d"]')
    made = make_api(valkey, text=POLICY + guard)
    core = made.core
    core.active.refresh()
    for number in islice(crowd(), MANY):
        assert send(made, number) == HTTPStatus.ACCEPTED
        assert send(made, number) in {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
        core.pins.write(Pin(kind="number", subject=number, what="allow"), AuditNote(by="ben", reason="r"))
    core.journal.hand_over()
    yield made
    close(made)


def send(api: Api, number: str) -> int:
    """Ask for a code as a server."""
    return api.call("POST", "/otp/send", key=SECRET, body={"to": number}).status_code


def round_trips(api: Api) -> int:
    """Count the calls to the store so far."""
    [calls] = api.core.metrics.store_seconds.collect()
    return int(sum(one.value for one in calls.samples if one.name.endswith("_count")))


def arguments(api: Api) -> Iterator[tuple[str, str, str, dict[str, Any] | None]]:
    """List each view of /ops with a call that succeeds: its name, method, path and body."""
    challenge = api.core.stories.search(Search(since=0), by="ben")["challenges"][0]["id"]
    block = api.core.blocks.read_all(api.core.policy)[0]["id"]
    keys = {
        name: (api.call("POST", "/ops/keys", key=OPS, body=BODIES["ops_access.create_key"]).json or {})["id"]
        for name in ("ops_access.rotate_key", "ops_access.revoke_key")
    }
    known = views(api.flask)
    for endpoint in [*sorted(set(known) - set(EMPTIES)), *EMPTIES]:
        path, method = known[endpoint]
        filled = path.replace("/1", f"/{challenge}") if endpoint.endswith("timeline") else path
        body = {"id": block} | WHY if endpoint == "ops_guard.lift_block" else BODIES.get(endpoint, WHY)
        yield (
            endpoint,
            method,
            filled.replace(NO_KEY, keys.get(endpoint, "")),
            None if method == "GET" else body,
        )


def test_a_call_takes_few_round_trips_however_much_there_is(full: Api) -> None:
    """Each view of /ops, with what makes it work hardest."""
    took: dict[str, int] = {}
    for endpoint, method, path, body in arguments(full):
        before = round_trips(full)
        answer = full.call(method, path, key=OPS, body=NOTHING if body is None else body)
        took[endpoint] = round_trips(full) - before
        assert answer.status_code < 300, (endpoint, answer.text)
    assert {name: count for name, count in took.items() if count > FEW + MORE.get(name, 0)} == {}
