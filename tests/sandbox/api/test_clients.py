"""Clients shaped like the public ones of the upstream work with only the address changed."""

import json
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
import requests

from tests.support.patience import PATIENCE
from tests.support.sandbox_server import TOKEN, Running

pytest_plugins = ("tests.support.sandbox_fixtures",)


@pytest.fixture
def endpoint(sandbox: Running) -> str:
    """Return what such a client has as its address."""
    return f"{sandbox.url}/api/v2/"


def test_a_client_that_puts_everything_into_the_query_works(sandbox: Running, endpoint: str) -> None:
    """The Python, Node, Java and Go shape: a GET, nothing encoded but what the library encodes."""
    query = f"sms/send?access_token={TOKEN}&message=Your code is 4829&sender=MobTxt&to=12025550100&service=P"
    answer = requests.get(endpoint + query, timeout=PATIENCE).json()
    assert answer["data"][0]["status"] == "AWAITING-DLR"
    assert sandbox.inbox()[0]["code"] == "4829"


def test_a_client_that_encodes_its_query_itself_works(sandbox: Running, endpoint: str) -> None:
    """The standard library's shape."""
    text = quote("Your code is 4829 & more")
    query = f"sms/send/?access_token={TOKEN}&message={text}&sender=MobTxt&to=12025550100&service=T"
    with urlopen(endpoint + query, timeout=PATIENCE) as answer:  # noqa: S310 - a loopback address of ours
        assert json.load(answer)["status"] == 200
    assert sandbox.inbox()[0]["text"] == "Your code is 4829 & more"


def test_a_client_that_posts_a_form_works(sandbox: Running, endpoint: str) -> None:
    """The PHP shape: token in the form, several numbers separated by commas."""
    form = {"access_token": TOKEN, "to": "12025550100,12025550101", "sender": "MOBtxt", "message": "4829"}
    answer = requests.post(f"{endpoint}sms/send", data={**form, "service": "T"}, timeout=PATIENCE).json()
    assert answer["message"] == "2 numbers accepted for delivery."


def test_a_client_that_posts_json_works(sandbox: Running, endpoint: str) -> None:
    """The .NET shape: token among the JSON fields."""
    body = {"access_token": TOKEN, "to": 12025550100, "sender": "mobsat", "message": "4829", "service": "S"}
    request = Request(  # noqa: S310 - a loopback address of ours
        f"{endpoint}sms/send",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method="POST",
    )
    with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - as above
        assert json.load(answer)["data"][0]["mobile"] == "12025550100"


def test_a_plugin_that_looks_for_the_login_page_finds_it(endpoint: str) -> None:
    """The Odoo shape: a bad token is known by the address in the page."""
    answer = requests.get(f"{endpoint}account/balance?access_token=wrong", timeout=PATIENCE)
    assert endpoint.replace("/api/v2/", "/login") in answer.text


@pytest.mark.parametrize("scheme", ["", "Bearer "])
def test_a_client_that_sends_its_token_as_authorization_works(
    sandbox: Running, endpoint: str, scheme: str
) -> None:
    """The Python shape sends the bare token as Authorization, the Go shape with Bearer."""
    headers = {"Accept": "application/json", "Authorization": f"{scheme}{TOKEN}"}
    form = {"to": "12025550100", "sender": "MobTxt", "message": "Your code is 4829", "service": "T"}
    answer = requests.post(f"{endpoint}sms/send", headers=headers, data=form, timeout=PATIENCE).json()
    assert answer["data"][0]["status"] == "AWAITING-DLR"
    assert sandbox.inbox()[0]["code"] == "4829"
