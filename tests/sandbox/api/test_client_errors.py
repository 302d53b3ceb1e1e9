"""What the vendor's own clients make of each error of the sandbox.

Each function sends and reads as one of the vendor's public clients and plugins does (GitHub, mobtexting/...; read in
2026). What it returns is what the client's user is told: that the message was sent, the upstream's sentence, or that
the token is wrong.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import requests

from tests.support.patience import PATIENCE
from tests.support.sandbox_server import DELIVERED, TOKEN, Running

pytest_plugins = ("tests.support.sandbox_fixtures",)

SENT, BAD_TOKEN, NOTHING = "sent", "the token is wrong", "nothing"
ERRORS = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    422: "invalid",
    429: "rate_limited",
    500: "server_error",
    503: "unavailable",
}
"""Each HTTP status of an error, and the outcome that forces it."""
Read = Callable[[str, str], str]


def fields(token: str) -> dict[str, str]:
    """Write what all clients send."""
    return {"access_token": token, "to": DELIVERED, "sender": "MobTxt", "message": "4829", "service": "T"}


def loaded(text: str) -> Mapping[str, Any]:
    """Parse as PHP does: what is no JSON object is nothing."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def odoo(url: str, token: str) -> str:
    """A POST with a query. The login page means a bad token; anything else must be JSON with a `status`."""
    text = requests.post(f"{url}sms/send", params=fields(token), timeout=PATIENCE).text
    if url.replace("/api/v2/", "/login") in text:
        return BAD_TOKEN
    answer = json.loads(text)
    if answer["status"] == "ERROR":
        return str(answer["message"])
    return SENT if answer["status"] == 200 else f"{NOTHING}: {answer}"


def vtiger(url: str, token: str) -> str:
    """A POST of a form, with a slash at the end. PHP's `switch` compares loosely, so 200 is "200"."""
    answer = loaded(requests.post(f"{url}sms/send/", data=fields(token), timeout=PATIENCE).text)
    if not answer:
        return BAD_TOKEN
    match str(answer.get("status")):
        case "ERROR" | "401":
            return str(answer["message"])
        case "200":
            return SENT
    return NOTHING


def civicrm(url: str, token: str) -> str:
    """A multipart form. An ERROR with the code 422 has the upstream's sentence; every other error blames the token."""
    form = {name: (None, value) for name, value in fields(token).items()}
    answer = loaded(requests.post(f"{url}sms/send", files=form, timeout=PATIENCE).text)
    if answer.get("status") == "ERROR" and answer.get("code") == 422:
        return str(answer["message"])
    return SENT if answer.get("status") == 200 else BAD_TOKEN


def suitecrm(url: str, token: str) -> str:
    """A POST with a query and a Bearer token. An answer without a `status` means a bad token."""
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(f"{url}sms/send", params=fields(token), headers=headers, timeout=PATIENCE)
    found = loaded(answer.text)
    if not found.get("status"):
        return BAD_TOKEN
    return SENT if found["status"] == 200 else str(found["message"])


def go(url: str, token: str) -> str:
    """A GET. Only the body of a 200 is returned; Java's, .NET's and Ruby's libraries raise an error instead."""
    answer = requests.get(f"{url}sms/send", params=fields(token), timeout=PATIENCE)
    return SENT if answer.status_code == 200 and loaded(answer.text).get("status") == 200 else NOTHING


def python(url: str, token: str) -> str:
    """A GET, whose answer is handed to the caller as it is; so do the Node, PHP, Laravel and OpenCart clients."""
    headers = {"Accept": "application/json"}
    answer = requests.get(f"{url}sms/send", params=fields(token), headers=headers, timeout=PATIENCE)
    return SENT if answer.ok else str(answer.json()["message"])


CLIENTS: Mapping[str, Read] = {read.__name__: read for read in (odoo, vtiger, civicrm, suitecrm, go, python)}


def endpoint(sandbox: Running) -> str:
    """Return what a client has as its address."""
    return f"{sandbox.url}/api/v2/"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_message_that_is_accepted_was_sent(sandbox: Running, client: str) -> None:
    """To all of them."""
    assert CLIENTS[client](endpoint(sandbox), TOKEN) == SENT


@pytest.mark.parametrize("client", CLIENTS)
def test_a_bad_token_is_told_as_such(sandbox: Running, client: str) -> None:
    """By the login page, or by a sentence if JSON was asked for."""
    told = {"go": NOTHING, "python": "Unauthenticated."}.get(client, BAD_TOKEN)
    assert CLIENTS[client](endpoint(sandbox), "wrong") == told


@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_is_told_in_the_upstreams_sentence(sandbox: Running, client: str, status: int) -> None:
    """No client takes it for a success, or for a bad token, unless it knows nothing else."""
    sandbox.force(DELIVERED, "sms", ERRORS[status])
    answer = sandbox.send()
    assert (answer.status_code, answer.json()["code"]) == (status, status)
    sentence = str(answer.json()["message"])
    told = {"go": NOTHING, "civicrm": sentence if status == 422 else BAD_TOKEN}.get(client, sentence)
    if status == 401 and client != "go":
        told = sentence if client == "python" else BAD_TOKEN
    assert CLIENTS[client](endpoint(sandbox), TOKEN) == told
    assert sandbox.inbox() == []


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("POST", "sms/send", b"{", 400),
        ("POST", "nothing/here", b"{}", 404),
        ("GET", "developer/webhooks/unknown", b"", 404),
        ("DELETE", "sms/send", b"", 405),
        ("POST", "sms/send", b"{}", 422),
        ("POST", "whatsapp/message/send", b"[]", 422),
    ],
)
def test_every_other_error_has_the_same_members(
    sandbox: Running, verb: str, path: str, body: bytes, status: int
) -> None:
    """`status`, `code` and `message`, whatever refused the call."""
    headers = {"Content-Type": "application/json"} if body else {}
    answer = sandbox.client.request(
        verb, f"{endpoint(sandbox)}{path}", data=body, headers=headers, timeout=PATIENCE
    )
    found = answer.json()
    assert (answer.status_code, found["status"], found["code"]) == (status, "ERROR", status)
    assert found["message"]
