"""What the service really answers and sends, held against openapi.yaml: also where no call is to blame."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from openapi_schema_validator import OAS31Validator

from otp_service import errors
from otp_service.access.api_keys import digest
from otp_service.alerts import bulletin
from otp_service.alerts.alert import Alert
from otp_service.challenge.model import Challenge, Delivery, Plan, State, Status, Step
from otp_service.events import from_challenge, standard_webhooks
from otp_service.http import app as http_app
from otp_service.http.problems import STATUS, raw_problem
from otp_service.http.server import refusals
from tests.conftest import OPS, ORIGIN, POLICY, PUBLISHABLE, SECRET, make_core
from tests.house import openapi_reports
from tests.house.openapi_webhooks import TYPES
from tests.support.http_api import (
    NO_ID,
    NOBODY,
    NUMBER,
    check_contract,
    close,
    codes_of,
    documented,
    followed,
    make_api,
    operation_at,
)
from tests.support.valkey_server import ValkeyServer

FILLED = {
    "challenge_id": NO_ID,
    "number": "1",
    "old": "1",
    "new": "2",
    "key_id": "5f2ab1c3d4",
    "secret": "whs_test-secret",
}
"""Parts of paths that must have a form of their own."""


WEBHOOK_SECRET = "whs_test-secret"
TEXT = POLICY.replace(
    "[[route]]", f'[upstream.main.receipts]\nsecrets = ["{digest(WEBHOOK_SECRET)}"]\n\n[[route]]'
)


@pytest.fixture(scope="module")
def application() -> Flask:
    """Build an application whose store is away for good."""
    return http_app.web(make_core("unix:///nowhere", NOBODY, text=TEXT))


def calls() -> Iterator[tuple[str, str, Any]]:
    """List each call of the document, its path filled in."""
    for template, item in documented()["paths"].items():
        path = re.sub(r"\{(\w+)\}", lambda part: FILLED.get(part[1], "main"), template)
        for method, operation in item.items():
            yield method.upper(), path, operation


def example_of(operation: Any) -> Any:  # noqa: ANN401 - YAML
    """Return the example of a call's request, None if it has no body."""
    body = followed(operation.get("requestBody", {})).get("content", {}).get("application/json")
    if body is None:
        return None
    return body["example"] if "example" in body else followed(next(iter(body["examples"].values())))["value"]


@pytest.mark.parametrize(("method", "path"), [call[:2] for call in calls()])
def test_what_a_call_answers_while_the_store_is_away_is_documented(
    application: Flask, method: str, path: str
) -> None:
    """Each call, with the example of the document, says when to ask again, or needs no store."""
    operation = operation_at(method, path)
    report = "Callbacks" in operation["tags"]
    key = WEBHOOK_SECRET if report else OPS if path.startswith(("/ops/", "/metrics")) else SECRET
    answer = application.test_client().open(
        path,
        method=method,
        headers={"Authorization": f"Bearer {key}"},
        json=example_of(operation),
        query_string=openapi_reports.REPORT if report and method == "GET" else None,
    )
    check_contract(method, path, answer)
    if answer.status_code == 503:
        assert int(answer.headers["Retry-After"]) > 0
    if report:
        assert answer.status_code == 503
    if operation["security"] and {} not in operation["security"]:
        assert answer.status_code in {400, 404, 422, 503}  # what can be told without the store is


@pytest.mark.parametrize("template", documented()["paths"])
def test_a_method_that_a_path_does_not_take_is_answered_as_documented(
    application: Flask, template: str
) -> None:
    """405, with exactly the methods of the document in Allow."""
    path = re.sub(r"\{(\w+)\}", lambda part: FILLED.get(part[1], "main"), template)
    answer = application.test_client().open(path, method="PATCH")
    check_contract("PATCH", path, answer)
    assert answer.status_code == 405
    allowed = {name.strip() for name in answer.headers["Allow"].split(",")}
    assert {method.upper() for method in documented()["paths"][template]} <= allowed
    assert all(operation_at(method, path) for method in allowed - {"HEAD", "OPTIONS"})


@pytest.mark.parametrize(
    "kind",
    [refusals.MalformedRequest, refusals.UriTooLong, refusals.HeadersTooLarge, refusals.RequestTimeout],
)
def test_what_the_server_answers_to_no_request_is_documented_for_every_call(
    kind: type[errors.OtpError],
) -> None:
    """Bytes that never become a request meet the answer `default`."""
    status, lines, body = raw_problem(kind())
    headers = dict(lines)
    assert status.startswith(f"{STATUS[kind]} ")
    assert headers["Content-Length"] == str(len(body))
    assert (headers["X-Content-Type-Options"], headers["Vary"]) == ("nosniff", "Origin")
    assert body.endswith(b"}\n")
    for _, _, operation in calls():
        answer = followed(operation["responses"]["default"])
        content = answer["content"]["application/problem+json"]
        assert kind.code in codes_of(content)
        OAS31Validator({**content["schema"], "components": documented()["components"]}).validate(
            json.loads(body)
        )


def test_a_server_is_told_how_its_budget_stands_and_a_page_is_not(valkey: ValkeyServer) -> None:
    """RateLimit and RateLimit-Policy come with a secret key, on a send that goes out and on one that is refused."""
    api = make_api(valkey, text='guard.number.refuse = ["2/m"]\n' + POLICY)
    sent, refused = api.send(), api.send()
    assert (sent.status_code, refused.status_code) == (202, 429)
    for answer in (sent, refused):
        assert re.fullmatch(r'"\w+";r=\d+;t=\d+', answer.headers["RateLimit"])
        assert re.fullmatch(r'"\w+";q=\d+;w=\d+', answer.headers["RateLimit-Policy"])
    page = [
        api.call("POST", "/otp/send", key=PUBLISHABLE, origin=ORIGIN, body={"to": NUMBER}) for _ in range(2)
    ][-1]
    assert page.status_code == 429
    assert "RateLimit" not in page.headers
    assert "rule" not in (page.json or {})
    close(api)


# Events.


def challenge(state: State, *statuses: Status, reference: str = "") -> Challenge:
    """Make a challenge whose messages have these statuses, each but the first sent by itself."""
    channels = ("sms", "whatsapp", "voice")
    plan = Plan(tuple(Step(channel, ("main",), 30) for channel in channels), 6, 300, 5, 4, (30,))
    deliveries = tuple(
        Delivery(place, channels[place], status, 0, "", "r", automatic=place > 0)
        for place, status in enumerate(statuses)
    )
    return Challenge(NO_ID, "web", "login", "", "", state, 0, plan, deliveries, reference=reference, via=0)


def events() -> list[from_challenge.Event]:
    """Return every event that the code makes, with and without what may be missing."""
    made = [from_challenge.blocked_event("number")]
    for reference in ("", "order-4711"):
        for state in State:
            for status in Status:
                made += from_challenge.events_of(
                    challenge(state, status, Status.DELIVERED, reference=reference)
                )
    return made


def alerts() -> list[bulletin.News]:
    """Return an event of each type that operators receive."""
    alert = Alert("breaker_open", "main/sms", "critical", "main, SMS: open.", "upstreams")
    _, none = bulletin.follow({}, [alert], 0)
    told, firing = bulletin.follow(bulletin.follow({}, [alert], 0)[0], [alert], bulletin.SETTLE)
    _, resolved = bulletin.follow(told, [], bulletin.SETTLE + bulletin.QUIET)
    return [*none, *firing, *resolved]


def closed(schema: Any) -> Any:  # noqa: ANN401 - YAML
    """Return a schema of an event that takes no field which it does not name."""
    whole = followed(schema)
    parts = [whole, *(followed(part) for part in whole.get("allOf", []))]
    fields = {name: of for part in parts for name, of in part.get("properties", {}).items()}
    return {
        "type": "object",
        "required": [name for part in parts for name in part.get("required", [])],
        "properties": {
            name: closed(of) if {"allOf", "properties"} & set(followed(of)) else followed(of)
            for name, of in fields.items()
        },
        "additionalProperties": False,
    }


def test_every_event_is_as_its_webhook_says() -> None:
    """No field more, none less, and each word of an enum; no type is left out."""
    seen: dict[str, set[str]] = {}
    made: list[tuple[str, dict[str, Any]]] = [(one.type, one.data) for one in events()]
    for type_, data in [*made, *((one.type, one.data) for one in alerts())]:
        content = documented()["webhooks"][type_]["post"]["requestBody"]["content"]["application/json"]
        body = json.loads(standard_webhooks.write_body(type_, 1_790_000_000_000, data))
        OAS31Validator(closed(content["schema"])).validate(body)
        seen.setdefault(type_, set()).update(body["data"])
    for type_ in TYPES:
        content = documented()["webhooks"][str(type_)]["post"]["requestBody"]["content"]["application/json"]
        assert set(closed(content["schema"])["properties"]["data"]["properties"]) == seen[type_]


def test_an_event_brings_the_headers_of_its_webhook() -> None:
    """Those that Standard Webhooks names."""
    sent = standard_webhooks.sign("evt_1", 1_790_000_000, b"{}", [b"k" * 32])
    for item in documented()["webhooks"].values():
        parameters = [followed(one) for one in item["post"]["parameters"]]
        assert {one["name"] for one in parameters if one["required"]} == set(sent)
