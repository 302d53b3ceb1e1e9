"""Each act of the console against each role: allowed and shown, or refused and absent."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask

from otp_service.http.body import MAX_POLICY
from otp_service.policy import ROLES
from tests.conftest import OPS
from tests.support.console_pages import HOME, OWN, Console, console_of
from tests.support.http_api import Api

pytest_plugins = ["tests.support.http_fixtures"]

ACTS = {
    "sign_in.sign_out": "read",
    "find.search": "read",
    "policy.edit": "read",
    "policy.check": "read",
    "guard.explain": "read",
    "policy.apply": "operate",
    "policy_history.roll_back": "operate",
    "guard.lift": "operate",
    "guard.pin": "operate",
    "guard.unpin": "operate",
    "access.issue": "admin",
    "access.rotate": "admin",
    "access.revoke": "admin",
    "access.create_app": "admin",
    "access.remove_app": "admin",
}
"""The least role of each act; a new one must be put into this table."""
OPEN = {"sign_in.show", "sign_in.sign_in", "sign_in.begin", "files.get_file"}
PAGES = (
    "",
    "find",
    "routes",
    "routes/history",
    "routes/history/1",
    "blocks",
    "upstreams",
    "keys",
    "advice",
    "audit",
)


def views(app: Flask) -> Iterator[tuple[str, str, str]]:
    """List the console's views: name, path and method."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(HOME):
            path = re.sub("<[^>]+>", "1", rule.rule).removeprefix(HOME)
            (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            yield rule.endpoint.removeprefix("console."), path, method


def as_role(api: Api, role: str) -> Console:
    """Sign in as an operator with a role."""
    key, _ = api.core.keyring.issue("ops", "ben", by="anna", role=role)
    api.core.live_keys.refresh()
    return console_of(api, key)


def test_every_act_is_in_the_table_and_every_page_is_for_all_operators(api: Api) -> None:
    """No act is missing, and what is open to all is named."""
    for name, _, method in views(api.flask):
        view = api.flask.view_functions[f"console.{name}"]
        if name in OPEN:
            assert getattr(view, "open_to_all", False)
            continue
        assert getattr(view, "console_role", None) == (ACTS[name] if method == "POST" else "read"), name
    assert set(ACTS) | OPEN <= {name for name, _, _ in views(api.flask)}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_the_table_says(api: Api, role: str) -> None:
    """Everything else is refused before anything is read of the form."""
    acts = {name: path for name, path, method in views(api.flask) if method == "POST" and name in ACTS}
    console = as_role(api, role)
    for name in sorted(acts, key="sign_in.sign_out".__eq__):
        answer = console.post(acts[name], reason="", act="discard")
        refused = answer.status_code == 403
        assert refused is (ROLES.index(role) < ROLES.index(ACTS[name])), name
        assert answer.status_code != 500, name


@pytest.mark.parametrize("role", ROLES)
def test_each_role_sees_the_buttons_of_what_it_may_do(api: Api, role: str) -> None:
    """A page has the form of an act if and only if the role may do it."""
    console = console_of(api)
    for what in ("refuse", "allow"):
        console.post(
            "pins", kind="prefix", subject="+4479" if what == "allow" else "+4478", what=what, reason="x"
        )
    api.core.keyring.issue("secret", "web", by="anna")
    text = api.core.policies.newest().text  # type: ignore[union-attr]
    console.post("routes/apply", text=text + "\n", expected="1", reason="a second version")
    console = as_role(api, role)
    shown = "".join(console.get(page).text for page in PAGES)
    review = console.post("routes", act="review", text=text + "\n\n", expected="2").text
    for name, path, method in views(api.flask):
        if method == "POST" and name in ACTS and name not in {"policy.check", "guard.lift"}:
            form = f'action="{HOME}{path}"' if name != "policy_history.roll_back" else "Roll back to version"
            there = (form in shown) or (name == "policy.apply" and "Apply</button>" in review)
            assert there is (ROLES.index(role) >= ROLES.index(ACTS[name])), name


@pytest.mark.parametrize("page", PAGES)
def test_every_page_reads_without_a_script(api: Api, page: str) -> None:
    """It has one heading, no script or style of its own, and no handler in an attribute."""
    console = console_of(api)
    text = console.get(page).text
    assert console.answers[-1].status_code == 200
    assert text.count("<h1") == 1
    assert re.findall(r"<script(?![^>]* src=)", text) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", text) == []
    assert OPS not in text


def test_an_operator_may_not_give_itself_more(api: Api) -> None:
    """The role `operate` may apply a policy, but not one that changes access; the draft stays on the page."""
    text = api.core.configuration.policy_file.text  # type: ignore[union-attr]
    console = as_role(api, "operate")
    more = f'{text}\n[operator.eve]\nkeys = ["{"0" * 64}"]\n'
    answer = console.post("routes/apply", text=more, expected="1", reason="mine")
    assert answer.status_code == 422
    assert "operator.eve" in answer.text
    assert api.core.policies.head() == 1


@pytest.mark.parametrize("path", ["nope", "routes/nope", "challenges/"])
def test_an_unknown_path_is_a_page_for_who_is_signed_in(api: Api, path: str) -> None:
    """With a way back, under the same policy; a client without a session and other methods get problem details."""
    console = console_of(api)
    answer = console.get(path)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "no such page" in answer.text
    assert f'href="{HOME}"' in answer.text
    own, known = (one.headers["Content-Security-Policy"] for one in (answer, console.get("find")))
    assert own == known
    others = [console.post(path), api.flask.test_client().get(HOME + path), console.client.get("/ops/nope")]
    assert {(one.status_code, one.mimetype) for one in others} == {(404, "application/problem+json")}


@pytest.mark.parametrize("path", ["routes", "find", "routes/problems", "sign-in"])
def test_a_form_that_is_too_long_is_refused_as_such(api: Api, path: str) -> None:
    """On a page that says how long it may be, and not as a fault of ours."""
    form = {"data": b"text=" + b"x" * MAX_POLICY, "content_type": "application/x-www-form-urlencoded"}
    answer = console_of(api).client.post(HOME + path, headers=OWN, **form)
    assert (answer.status_code, answer.mimetype) == (413, "text/html")
    assert f"larger than {MAX_POLICY // 1024} KiB" in answer.text


@pytest.mark.parametrize("path", ["blocks/lift", "sign-out", "pins"])
def test_the_path_of_a_form_is_no_page(api: Api, path: str) -> None:
    """A browser asks for it after a refused form, or by its history; the way back is shown, nothing is done."""
    console = console_of(api)
    answer = console.get(path)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert f'href="{HOME}"' in answer.text
    stranger = api.flask.test_client().get(HOME + path)
    assert (stranger.status_code, stranger.mimetype) == (405, "application/problem+json")
    assert console.get("find").status_code == 200


def test_an_unknown_path_is_a_problem_while_the_store_is_away(away: Api) -> None:
    """Nobody knows then who is signed in."""
    client = away.flask.test_client()
    client.set_cookie("otp-console", "x" * 22, path=HOME)
    answer = client.get(f"{HOME}nope")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
