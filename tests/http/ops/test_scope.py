"""Operators who are limited to apps see and do what belongs to these, in every call, page and file; nothing else."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from otp_service.access.api_keys import digest
from otp_service.http.operation import Operation
from tests.conftest import OPS, OTHER_SECRET, POLICY, SECRET
from tests.http.console import test_roles
from tests.http.console.test_roles import ACTS, OPEN
from tests.http.ops.test_access import ADMIN, views
from tests.support.console_pages import HOME, Console, console_of
from tests.support.http_api import NOBODY, NOTHING, Api, close, make_api
from tests.support.http_calls import members, problem_of
from tests.support.numbers import crowd
from tests.support.valkey_server import ValkeyServer

OWN_KEY = "ops_of-an-operator-of-one-app"
FOREIGN = "zebra"
"""The name and, in other letters, the brand of the app that nobody may see a trace of."""
LIMITED = (
    POLICY.replace("app.other", f"app.{FOREIGN}")
    .replace('brand = "Other"', 'brand = "Zebra"')
    .replace('guard.countries.allow = ["*"]', 'guard.countries.allow = ["*"]\nguard.app.refuse = ["1/h"]')
)
BEN = f'\n[operator.ben]\nrole = "admin"\napps = ["web"]\nkeys = ["{digest(OWN_KEY)}"]\n'

BY_APP = {
    "ops_challenges.search_challenges",
    "ops_challenges.read_timeline",
    "ops_figures.list_figures",
    "ops_guard.list_blocks",
    "ops_guard.lift_block",
    "ops_access.list_keys",
    "ops_access.create_key",
    "ops_access.rotate_key",
    "ops_access.revoke_key",
    "ops_access.list_apps",
    "ops_access.get_app",
}
"""The views of /ops that can be cut by app. A new view is refused to limited operators until it is put here."""
PAGES_BY_APP = {
    *(
        "sign_in.sign_out",
        "now.show",
        "find.show",
        "find.search",
        "find.show_story",
        "guard.show",
        "guard.lift",
    ),
    *("access.show", "access.issue", "access.rotate", "access.revoke"),
    *("audit.show", "audit.export_table", "audit.export_lines"),
}
"""The same of the console."""


@pytest.fixture
def api(valkey: ValkeyServer) -> Iterator[Api]:
    """Two apps, each with an accepted send, a refused one, a block, an issued key and an act on it."""
    made = make_api(valkey, NOBODY, LIMITED + BEN)
    made.core.begin_policy()
    made.core.active.refresh()
    people = crowd()
    both = next(people)
    for app, key in ((FOREIGN, OTHER_SECRET), ("web", SECRET)):
        assert made.send(both, key=key, reference="same", purpose=f"{app}-login").status_code == 202
        assert made.send(next(people), key=key, reference="same", purpose=f"{app}-login").status_code == 429
        _, issued = made.core.keyring.issue("secret", app, by="anna", label=f"for {app}")
        made.core.keyring.rotate(issued.id, by="anna", reason=f"a year of {app}")
        made.later(60)
    made.core.keyring.issue("ops", "carl", by="anna", role="read", label=f"for {FOREIGN}")
    made.core.journal.hand_over()
    made.core.live_keys.refresh()
    yield made
    close(made)


def ask(api: Api, method: str, path: str, body: object = NOTHING, key: str = OWN_KEY) -> TestResponse:
    """Call as the limited operator."""
    answer = api.call(method, f"/ops/{path}", key=key, body=body)
    api.core.live_keys.refresh()
    return answer


def stories(api: Api, key: str = OWN_KEY, **search: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - fields of a search
    """Search, page after page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        answer = members(ask(api, "POST", "challenges/search", search | cursor, key))
        found += answer["challenges"]
        if not answer["next_cursor"]:
            return found
        cursor = {"cursor": answer["next_cursor"]}


# Every view.


def test_every_view_is_decided(api: Api) -> None:
    """The tables and the views agree, so that a new view cannot be forgotten."""
    marked = set()
    for endpoint in views(api.flask):
        described = getattr(api.flask.view_functions[endpoint], "operation", None)
        assert isinstance(described, Operation)
        marked |= {endpoint} if described.by_app else set()
    assert marked == BY_APP < ADMIN
    assert not Operation(summary="", answer=None).by_app
    shown = {name for name, _, _ in test_roles.views(api.flask)} - OPEN
    cut = {name for name in shown if getattr(api.flask.view_functions[f"console.{name}"], "by_app", False)}
    assert cut == PAGES_BY_APP


def test_each_call_that_cannot_be_cut_is_refused(api: Api) -> None:
    """With one problem, whatever the operator's role; /metrics, too."""
    for endpoint, (path, method) in views(api.flask).items():
        answer = api.call(method, path, key=OWN_KEY, raw=None if method == "GET" else b"{}")
        refused = problem_of(answer) == (403, "operator_limited") if answer.status_code >= 400 else False
        assert refused is (endpoint not in BY_APP), endpoint
    assert problem_of(api.call("GET", "/metrics", key=OWN_KEY)) == (403, "operator_limited")


def test_each_page_that_cannot_be_cut_is_refused(api: Api) -> None:
    """The navigation does not name it; a form for it does nothing."""
    console = console_of(api, OWN_KEY)
    for name, path, method in sorted(
        test_roles.views(api.flask), key=lambda page: page[0] == "sign_in.sign_out"
    ):
        if name not in OPEN:
            answer = console.get(path) if method == "GET" else console.post(path, reason="r")
            refused = answer.status_code == 403 and "limited to some apps" in answer.text
            assert refused is (name not in PAGES_BY_APP), name
            assert answer.status_code != 500, name


def test_no_answer_has_a_trace_of_another_app(api: Api) -> None:
    """Not its name, its brand, its keys, its ids: in JSON, CSV, pages and files."""
    everything = [f"{one['id']}" for one in stories(api, OPS, since=0) if one["app"] == FOREIGN]
    everything += [
        one["id"] for one in members(ask(api, "GET", "keys", key=OPS))["keys"] if one["owner"] != "web"
    ]
    everything += [
        one["id"]
        for one in members(ask(api, "GET", "blocks", key=OPS))["blocks"]
        if "web" not in one["subject"]
    ]
    assert len(everything) >= 6
    said = _all_answers(api)
    assert said.count('"app":"web"') > 3
    assert FOREIGN not in said.lower()
    assert [one for one in everything if one in said] == []


def _all_answers(api: Api) -> str:
    """Make every call and open every page that a limited operator may, and return what was said."""
    mine = stories(api, since=0)[0]["id"]
    answers = [
        *(ask(api, "POST", "challenges/search", one) for one in ({"since": 0}, {"reference": "same"})),
        ask(api, "POST", "challenges/search", {"number": next(crowd())}),
        ask(api, "GET", f"challenges/{mine}"),
        *(
            ask(api, "GET", path)
            for path in ("figures", "figures?by=app,route,country", "figures?format=csv&by=app")
        ),
        *(ask(api, "GET", path) for path in ("blocks", "keys", "apps", "apps/web")),
    ]
    console = console_of(api, OWN_KEY)
    shown = ("", "find", f"challenges/{mine}", "blocks", "keys", "audit", "audit.csv", "audit.jsonl")
    answers += [console.get(page) for page in shown]
    answers.append(console.post("find", q="same"))
    assert {answer.status_code for answer in answers} == {200}
    return "".join(answer.text for answer in answers)


# What is within the limit.


@pytest.mark.parametrize("by", [{"since": 0}, {"reference": "same"}, {"number": next(crowd())}])
def test_a_search_finds_the_stories_of_the_operators_apps(api: Api, by: dict[str, Any]) -> None:
    """In pages of the size that was asked for: a page that lacks some would tell of others."""
    whole = [one["id"] for one in stories(api, OPS, **by) if one["app"] == "web"]
    assert whole
    assert len(whole) < len(stories(api, OPS, **by))
    assert [one["id"] for one in stories(api, **by)] == whole
    assert sorted(one["id"] for one in stories(api, **by, limit=1)) == sorted(whole)
    first = members(ask(api, "POST", "challenges/search", by | {"limit": 1}))
    assert [one["app"] for one in first["challenges"]] == ["web"]
    assert (first["next_cursor"] is None) is (by != {"since": 0} and len(whole) == 1)


def test_a_cursor_tells_nothing_and_is_taken_back(api: Api) -> None:
    """It would say how many stories an hour has, of all apps. One that was not given is refused."""
    cursor = members(ask(api, "POST", "challenges/search", {"since": 0, "limit": 1}))["next_cursor"]
    assert not re.fullmatch(r"[0-9a-z-]+", cursor)
    told = members(ask(api, "POST", "challenges/search", {"since": 0, "limit": 1}, OPS))["next_cursor"]
    for wrong in (told, cursor[:-4] + "AAAA"):
        answer = ask(api, "POST", "challenges/search", {"since": 0, "cursor": wrong})
        assert problem_of(answer) == (422, "invalid_request")


def test_another_apps_story_is_as_unknown_as_none(api: Api) -> None:
    """By its id, and by its request's; its own reads well."""
    foreign = next(one for one in stories(api, OPS, since=0) if one["app"] == FOREIGN)
    assert problem_of(ask(api, "GET", f"challenges/{foreign['id']}")) == (404, "challenge_not_found")
    assert stories(api, challenge_id=foreign["id"]) == []
    assert stories(api, request_id=foreign["request_id"]) == []
    assert ask(api, "GET", f"challenges/{foreign['id']}", key=OPS).status_code == 200
    own = stories(api, since=0)[0]
    assert stories(api, challenge_id=own["id"])[0]["app"] == "web"


def test_a_running_challenge_is_cut_before_its_story_is_written(api: Api) -> None:
    """What only the live record tells belongs to its app, too."""
    api.later(2 * 3600)
    mine, other = api.opened(), members(api.send("+12025550101", key=OTHER_SECRET))["challenge_id"]
    assert ask(api, "GET", f"challenges/{mine}").status_code == 200
    assert ask(api, "GET", f"challenges/{other}").status_code == 404


def test_figures_count_the_operators_apps(api: Api) -> None:
    """Their sum, too; another app in the filter gives nothing."""
    assert members(ask(api, "GET", "figures"))["total"]["asked"] == 2
    assert members(ask(api, "GET", "figures", key=OPS))["total"]["asked"] == 4
    for query in (f"figures?filter=app:{FOREIGN}", f"figures?by=app&filter=app:{FOREIGN}"):
        found = members(ask(api, "GET", query))
        assert (found["rows"] if "by" in query else [], found["total"]["asked"]) == ([], 0)
    assert members(ask(api, "GET", f"figures?filter=app:{FOREIGN},app:web"))["total"]["asked"] == 2


def test_blocks_of_the_operators_apps_are_listed_and_lifted(api: Api) -> None:
    """Another app's is as unknown as none, and stays."""
    [mine] = members(ask(api, "GET", "blocks"))["blocks"]
    assert (mine["rule"], mine["subject"]) == ("app", "web")
    blocks = members(ask(api, "GET", "blocks", key=OPS))["blocks"]
    foreign = next(one for one in blocks if one["subject"] == FOREIGN)
    for key, id_, status in (
        (OWN_KEY, foreign["id"], 404),
        (OWN_KEY, mine["id"], 200),
        (OPS, foreign["id"], 200),
    ):
        assert ask(api, "POST", "blocks/lift", {"id": id_, "reason": "r"}, key).status_code == status
    console = console_of(api, OWN_KEY)
    assert "block.lifted" in console.get("audit").text


def test_keys_of_the_operators_apps_are_issued_rotated_and_revoked(api: Api) -> None:
    """No other app's, and no operator's."""
    assert {one["owner"] for one in members(ask(api, "GET", "keys"))["keys"]} == {"web"}
    made = members(ask(api, "POST", "keys", {"kind": "secret", "owner": "web"}))
    assert ask(api, "POST", f"keys/{made['id']}/rotate", {"reason": "r"}).status_code == 201
    assert ask(api, "POST", f"keys/{made['id']}/revoke", {"reason": "r"}).status_code == 200
    unknown = ask(api, "POST", "keys", {"kind": "secret", "owner": "nobody"})
    foreign = ask(api, "POST", "keys", {"kind": "secret", "owner": FOREIGN})
    assert members(unknown)["errors"] == members(foreign)["errors"]
    before = members(ask(api, "GET", "keys", key=OPS))["keys"]
    others = [one["id"] for one in before if one["owner"] != "web" and one["live"]]
    assert len(others) == 3
    for id_ in others:
        for what in ("rotate", "revoke"):
            assert problem_of(ask(api, "POST", f"keys/{id_}/{what}", {"reason": "r"})) == (404, "not_found")
    owned = {"kind": "ops", "owner": "ben", "role": "admin"}
    assert problem_of(ask(api, "POST", "keys", owned)) == (403, "operator_limited")
    console = console_of(api, OWN_KEY)
    assert console.post("keys", kind="ops", owner="ben", role="admin").status_code == 403
    assert console.post("keys", kind="secret", owner=FOREIGN).status_code == 422
    assert console.post("keys/revoke", id=others[0], reason="r").status_code == 422
    assert console.post("keys/rotate", id=others[0], reason="r").status_code == 422
    assert members(ask(api, "GET", "keys", key=OPS))["keys"] == before


def test_another_app_is_as_unknown_as_none(api: Api) -> None:
    """The list has the operator's own."""
    assert [one["name"] for one in members(ask(api, "GET", "apps"))["apps"]] == ["web"]
    foreign, unknown = ask(api, "GET", f"apps/{FOREIGN}"), ask(api, "GET", "apps/nobody")
    assert (foreign.status_code, members(foreign)["detail"]) == (404, members(unknown)["detail"])


# The console.


def test_the_console_shows_no_way_to_what_is_refused(api: Api) -> None:
    """No page in the navigation, no form, no link."""
    console = console_of(api, OWN_KEY)
    refused = [name for name in ACTS if name not in PAGES_BY_APP]
    paths = {name: path for name, path, _ in test_roles.views(api.flask)}
    shown = "".join(console.get(page).text for page in ("", "find", "blocks", "keys", "audit"))
    assert [name for name in refused if f'action="{HOME}{paths[name]}"' in shown] == []
    linked = set(re.findall(rf'href="{HOME}([a-z]*)[".?]', shown)) - {"files"}
    assert linked == {"", "find", "blocks", "keys", "audit"}
    whole = "".join(console_of(api).get(page).text for page in ("", "blocks", "keys"))
    assert [
        name for name in ("guard.pin", "access.create_app") if f'action="{HOME}{paths[name]}"' not in whole
    ] == []


def test_the_audit_trail_is_read_page_by_page(api: Api) -> None:
    """Fifty acts of one's own apps are on a page, however many others are between."""
    for place in range(60):
        api.core.audit_trail.record("key.issued", kind="secret", owner="web", by="anna", why=f"own {place}")
        api.core.audit_trail.record("key.issued", kind="secret", owner=FOREIGN, by="anna", why=f"not {place}")
    console = console_of(api, OWN_KEY)
    first = console.get("audit").text
    [older] = re.findall(r"audit\?before=[0-9]+", first)
    second = console.get(older).text
    found = [re.findall(r"own ([0-9]+)", page) for page in (first, second)]
    assert found[0] + found[1] == [str(place) for place in reversed(range(60))]
    assert len(found[0]) == 50
    lines = [json.loads(line) for line in console.get("audit.jsonl").text.splitlines()]
    assert {one["about"]["owner"] for one in lines} == {"web"}


# Issued keys, and changes of the policy.


def apply(api: Api, text: str) -> None:
    """Put a policy in force."""
    api.core.policy_changes.apply(text.replace("UPSTREAM/", f"{NOBODY}/"), by="anna", reason="r")
    api.core.active.refresh()


def sees(api: Api, key: str) -> set[str]:
    """Return the apps that an operator sees."""
    return {one["name"] for one in members(ask(api, "GET", "apps", key=key))["apps"]}


def test_a_key_that_is_issued_to_a_limited_operator_is_limited(api: Api) -> None:
    """Its record says so; so does its successor's."""
    made = members(ask(api, "POST", "keys", {"kind": "ops", "owner": "ben", "role": "admin"}, OPS))
    assert made["limited_to"] == ["web"]
    next_ = members(ask(api, "POST", f"keys/{made['id']}/rotate", {"reason": "r"}, OPS))
    assert next_["limited_to"] == ["web"]
    assert sees(api, made["key"]) == sees(api, next_["key"]) == {"web"}
    apply(api, LIMITED)
    assert sees(api, made["key"]) == sees(api, next_["key"]) == {"web"}, "the policy has forgotten who it was"


def test_a_limit_in_the_policy_holds_for_keys_that_were_issued_before(api: Api) -> None:
    """And of two limits, what both allow: nothing, if they have nothing in common."""
    carl = members(ask(api, "POST", "keys", {"kind": "ops", "owner": "carl", "role": "read"}, OPS))["key"]
    assert sees(api, carl) == {"web", FOREIGN}
    ben = members(ask(api, "POST", "keys", {"kind": "ops", "owner": "ben", "role": "read"}, OPS))["key"]
    limits = "".join(f'\n[operator.{name}]\napps = ["{FOREIGN}"]\n' for name in ("ben", "carl"))
    apply(api, LIMITED + limits)
    assert sees(api, carl) == {FOREIGN}
    assert sees(api, ben) == set()
    assert stories(api, ben, since=0) == []
    assert members(ask(api, "GET", "figures", key=ben))["total"]["asked"] == 0


def test_a_session_of_the_console_follows_the_policy(api: Api) -> None:
    """An operator who gets a limit has it at the next click."""
    console: Console = console_of(api, OPS)
    assert console.get("routes").status_code == 200
    apply(api, (LIMITED + BEN).replace("[operator.anna]", '[operator.anna]\napps = ["web"]'))
    assert console.get("routes").status_code == 403
    assert FOREIGN not in console.get("keys").text
