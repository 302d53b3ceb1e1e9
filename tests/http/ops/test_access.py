"""Keys, apps and roles by the operators' HTTP API: who may do what, and what a key is worth at each time."""

import json
import logging
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from otp_service.access.api_keys import digest
from otp_service.http.operation import Operation
from otp_service.policy import ROLES
from tests.conftest import OPS, ORIGIN, POLICY, PUBLISHABLE, SECRET
from tests.support.http_api import NO_ID, NOBODY, NOTHING, NUMBER, Api
from tests.support.spine import together

pytest_plugins = ["tests.support.http_fixtures"]

GOOD = POLICY.replace("UPSTREAM/", f"{NOBODY}/")
DAY = 24 * 3_600_000
NO_KEY = "0" * 10


def members(answer: TestResponse) -> dict[str, Any]:
    """Return the members of a JSON answer."""
    found: dict[str, Any] = answer.json or {}
    return found


def ask(api: Api, method: str, path: str, body: object = None, key: str = OPS) -> TestResponse:
    """Call as an operator, and let this process see what changed."""
    answer = api.call(method, f"/ops/{path}", key=key, body=NOTHING if body is None else body)
    api.core.live_keys.refresh()
    return answer


def create(api: Api, kind: str = "secret", owner: str = "web", **fields: object) -> dict[str, Any]:
    """Issue a key."""
    answer = ask(api, "POST", "keys", {"kind": kind, "owner": owner, **fields})
    assert answer.status_code == 201, answer.text
    return members(answer)


def listed(api: Api) -> dict[str, dict[str, Any]]:
    """List all keys by their ids."""
    return {key["id"]: key for key in members(ask(api, "GET", "keys"))["keys"]}


def calls_with(api: Api, key: str) -> int:
    """Send as an app and return the status."""
    return api.call("POST", "/otp/send", key=key, body={"to": NUMBER}, address="192.0.2.9").status_code


@pytest.fixture
def in_force(api: Api) -> Api:
    """An application whose policy is in the store."""
    api.core.active.refresh()
    return api


# Roles.

READ = {
    "ops_policy.get_policy",
    "ops_policy.get_policy_version",
    "ops_policy.check_policy",
    "ops_policy.list_policy_versions",
    "ops_policy.compare_policy_versions",
    "ops_policy.simulate_send",
    "ops_upstreams.list_upstreams",
    "ops_figures.list_figures",
    "ops_figures.list_advice",
    "ops_challenges.search_challenges",
    "ops_challenges.read_timeline",
    "ops_numbers.get_suppression",
    "ops_access.list_keys",
    "ops_access.list_apps",
    "ops_access.get_app",
    "ops_guard.list_blocks",
    "ops_guard.explain_send",
    "ops_guard.list_pins",
}
OPERATE = READ | {
    *("ops_policy.apply_policy", "ops_policy.rollback_policy", "ops_numbers.lift_suppression"),
    *("ops_guard.lift_block", "ops_guard.create_pin", "ops_guard.lift_pin", "ops_numbers.recycle_numbers"),
}
ADMIN = OPERATE | {
    "ops_numbers.forget_number",
    "ops_access.create_key",
    "ops_access.rotate_key",
    "ops_access.revoke_key",
    "ops_access.create_app",
    "ops_access.remove_app",
    "ops_guard.show_pins",
}
MAY = {"read": READ, "operate": OPERATE, "admin": ADMIN}
"""The table of who may call what; a new view of /ops must be put into it."""


def views(app: Flask) -> dict[str, tuple[str, str]]:
    """List every view below /ops with its path, filled in, and method."""
    found = {}
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/ops") and not rule.rule.startswith("/ops/console"):
            arguments = dict.fromkeys(rule.arguments, "1") | {"key_id": NO_KEY, "app": "web"}
            _, path = rule.build({name: arguments[name] for name in rule.arguments}) or ("", "")
            (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            found[rule.endpoint] = (path, method)
    return found


def test_every_view_of_operators_is_in_the_table(api: Api) -> None:
    """No view is missing, and each names its own role."""
    assert set(views(api.flask)) == ADMIN
    for endpoint in ADMIN:
        described = getattr(api.flask.view_functions[endpoint], "operation", None)
        assert isinstance(described, Operation)
        assert described.keys == ("ops",)
        least = next(role for role in ROLES if endpoint in MAY[role])
        assert described.role == least, endpoint


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_call_what_the_table_says(api: Api, role: str, *, declared: bool) -> None:
    """Everything else is 403 with the role that it needs, for declared and issued keys alike."""
    key = create(api, "ops", "ben", role=role)["key"]
    if declared:
        key = f"ops_declared-{role}-key"
        text = f'{GOOD}\n[operator.ben]\nrole = "{role}"\nkeys = ["{digest(key)}"]\n'
        api.core.policies.apply(text, author="a", reason="r")
        api.core.active.refresh()
    allowed = set()
    for endpoint, (path, method) in views(api.flask).items():
        answer = api.call(method, path, key=key, raw=None if method == "GET" else b"{}")
        if answer.status_code != 403:
            allowed.add(endpoint)
            continue
        least = next(one for one in ROLES if endpoint in MAY[one])
        assert members(answer)["code"] == "role_not_allowed"
        assert f"the role {least}." in members(answer)["detail"]
    assert allowed == MAY[role]


def test_a_view_that_names_no_role_is_for_admins() -> None:
    """Forgetting the role lets no other role in."""
    assert Operation(summary="", answer=None).role == "admin"


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        (('wait = "5s"', 'wait = "25s"'), True),
        (('brand = "Other"', 'brand = "Another"'), False),
        (
            (
                "[app.other]",
                '[template.sms]\nen = "{code} is your {brand} code, and only yours."\n[app.other]',
            ),
            False,
        ),
        (("[app.other]", '[template]\nhosts = ["evil.example"]\n[app.other]'), False),
        (("[app.other]", '[template.payment]\nen = "{code} pays {amount} to {payee}."\n[app.other]'), False),
        (("[app.other]", '[app.other]\nbinding = "in_message"'), False),
        (('sender = "ACMEIN"', 'sender = "OTHERS"'), False),
        (("sms = {", 'voice = { bridge = "918000000000", mode = "flow", flow_id = "f" }\nsms = {'), False),
        (("[operator.anna]", f'[operator.ben]\nkeys = ["{digest("ops_own")}"]\n[operator.anna]'), False),
        (("[operator.anna]", "[operator.anne]"), False),
        (("[operator.anna]", '[operator.anna]\nrole = "operate"'), False),
        (("[app.other]", f'[app.other]\npublishable_keys = ["{digest("pk_own")}"]'), False),
        ((f'"{digest(SECRET)}"', f'"{digest("sk_own")}"'), False),
        ((f'"{ORIGIN}"', '"https://evil.example"'), False),
        (("[app.other]", '[app.more]\nbrand = "More"\n[app.other]'), False),
        (("[app.other]", "[app.another]"), False),
        ((f'"{NOBODY}/', '"http://127.0.0.1:10/'), False),
        (("token_env =", 'auth = "query"\ntoken_env ='), False),
        (("token_env =", 'paths = { sms = "elsewhere" }\ntoken_env ='), False),
        (("token_env =", f'receipts = {{ secrets = ["{digest("own")}"] }}\ntoken_env ='), False),
        (
            (
                "[app.other]",
                '[app.other]\nevents = { url = "https://evil.example", secret_env = "OTP_EVENTS_SPARE" }',
            ),
            False,
        ),
        (("[app.other]", '[guard.human_check]\nurl = "https://evil.example"\n[app.other]'), False),
        (("[app.other]", '[app.other.guard.human_check]\nsite_key = "own"\n[app.other]'), False),
        (
            (
                "[operator.anna]",
                (
                    '[app.other.review."+12025550150"]\npurposes = ["login"]\ndigits = 6\nsince = "2026-11-27"\n'
                    f'expires = "2026-12-01"\ncode = "owasp.p1 $argon2id$v=19$m=8,t=1,p=1${"A" * 22}${"b" * 22}"\n'
                    "[operator.anna]"
                ),
            ),
            False,
        ),
        (("[app.other]", '[guard.number]\nrefuse = ["9/h"]\n[app.other]'), True),
        (("total_timeout = 6.0", "total_timeout = 5.5"), True),
    ],
)
def test_the_role_operate_cannot_change_access(
    in_force: Api, change: tuple[str, str], *, allowed: bool
) -> None:
    """The policies that this role applies or brings back keep who may call and where codes and events go."""
    api = in_force
    assert change[0] in GOOD
    text = GOOD.replace(*change)
    key = create(api, "ops", "ben", role="operate")["key"]
    answer = ask(api, "PUT", "policy", {"text": text, "reason": "r"}, key=key)
    assert answer.status_code == (200 if allowed else 403)
    assert api.core.policies.head() == (2 if allowed else 1)
    if not allowed:
        assert members(answer)["code"] == "role_not_allowed"
        # nor by the version that an admin took back
        ask(api, "PUT", "policy", {"text": text, "reason": "r"})
        ask(api, "POST", "policy/rollback", {"reason": "a mistake"})
        back = {"reason": "r", "version": 2}
        assert ask(api, "POST", "policy/rollback", back, key=key).status_code == 403
        assert ask(api, "POST", "policy/rollback", back).status_code == 200


def test_expecting_a_future_version_does_not_change_access(in_force: Api) -> None:
    """A version that does not exist yet is a conflict, not a way around the comparison."""
    key = create(in_force, "ops", "ben", role="operate")["key"]
    answer = ask(in_force, "PUT", "policy", {"text": GOOD, "reason": "r", "expected": 2}, key=key)
    assert (answer.status_code, members(answer)["code"]) == (409, "policy_conflict")


# Keys.


@pytest.mark.parametrize(("kind", "prefix"), [("publishable", "pk_"), ("secret", "sk_")])
def test_an_issued_key_works_like_a_declared_key(api: Api, kind: str, prefix: str) -> None:
    """It belongs to its app and has the rights of its kind."""
    made = create(api, kind, label="a test")
    assert made["key"].startswith(prefix)
    assert calls_with(api, made["key"]) == 202
    redeem = api.call("POST", "/otp/token/redeem", key=made["key"], body={"token": "a.b.c"})
    assert redeem.status_code == (403 if kind == "publishable" else 400)
    foreign = api.call("GET", f"/otp/{NO_ID}", key=made["key"], origin="https://evil.example")
    assert members(foreign)["code"] == (
        "origin_not_allowed" if kind == "publishable" else "challenge_not_found"
    )
    assert api.call("GET", "/ops/keys", key=made["key"]).status_code == 403


def test_a_key_is_shown_once_and_never_its_whole_hash(api: Api) -> None:
    """The list shows id, kind, owner, times and eight digits of the hash."""
    made = create(api, label="checkout", expires="90d")
    assert made["expires"] == made["created"] + 90 * DAY
    found = listed(api)[made["id"]]
    assert {name: value for name, value in made.items() if name != "key"} == found
    assert found["fingerprint"] == digest(made["key"])[:8]
    assert (found["by"], found["label"], found["live"], found["used"]) == ("anna", "checkout", True, None)
    text = json.dumps(members(ask(api, "GET", "keys"))) + json.dumps(members(ask(api, "GET", "apps")))
    assert made["key"] not in text
    assert digest(made["key"]) not in text
    assert digest(made["key"])[:9] not in text


def test_the_last_use_is_listed(api: Api) -> None:
    """For all issued keys, including operators'."""
    made = create(api, "ops", "ben", role="read")
    assert listed(api)[made["id"]]["used"] is None
    ask(api, "GET", "keys", key=made["key"])
    used = listed(api)[made["id"]]["used"]
    assert 0 <= used - made["created"] < 60_000


def test_a_rotation_leaves_no_gap(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """Both keys work during the overlap, then only the new one; never three. The log says who and why."""
    first = create(api)
    with caplog.at_level(logging.INFO):
        answer = ask(
            api, "POST", f"keys/{first['id']}/rotate", {"reason": "a quarter is over", "overlap": "1h"}
        )
    second = members(answer)
    assert answer.status_code == 201
    (line,) = [one for one in caplog.records if one.getMessage() == "key.rotated"]
    assert vars(line)["fields"].items() >= {"by": "anna", "why": "a quarter is over", "owner": "web"}.items()
    assert [known(api, one["key"]) for one in (first, second)] == [True, True]
    for one in (first, second):
        again = ask(api, "POST", f"keys/{one['id']}/rotate", {"reason": "r"})
        assert (again.status_code, members(again)["code"]) == (409, "key_conflict")
    api.core.scripts.offset += 3_600_000
    api.core.live_keys.refresh()
    assert [known(api, one["key"]) for one in (first, second)] == [False, True]
    found = listed(api)
    assert (found[first["id"]]["live"], found[first["id"]]["replaced_by"]) == (False, second["id"])
    third = members(ask(api, "POST", f"keys/{second['id']}/rotate", {"reason": "r"}))
    assert third["line"] == first["id"]
    assert listed(api)[second["id"]]["expires"] == third["created"] + DAY


def known(api: Api, key: str) -> bool:
    """Say whether a key lets in."""
    answer = api.call("GET", f"/otp/{NO_ID}", key=key)
    if answer.status_code == 401:
        assert members(answer)["code"] == "unknown_key"
        return False
    return True


def test_unknown_expired_revoked_and_orphaned_keys_get_one_answer(in_force: Api) -> None:
    """The answer does not reveal that a key was once valid."""
    api = in_force
    expired, revoked = create(api, expires="1m"), create(api)
    ask(api, "POST", f"keys/{revoked['id']}/revoke", {"reason": "lost"})
    shop = {"name": "shop", "brand": "Shop", "reason": "r"}
    orphaned = members(ask(api, "POST", "apps", shop))["keys"][0]
    api.core.scripts.offset += 60_000
    api.core.live_keys.refresh()
    answers = [
        api.call("GET", f"/otp/{NO_ID}", key=key)
        for key in ("sk_never-was", expired["key"], revoked["key"], orphaned["key"])
    ]
    assert [answer.status_code for answer in answers] == [401] * 4
    told = [{**members(answer), "request_id": ""} for answer in answers]
    assert told == [told[0]] * 4
    api.core.active.refresh()
    assert known(api, orphaned["key"]), "its app is in force now"


@pytest.mark.parametrize("what", ["rotate", "revoke"])
def test_a_key_that_does_not_exist_is_reported(api: Api, what: str) -> None:
    """404 for an unknown key, 409 for one that has ended."""
    assert ask(api, "POST", f"keys/{NO_KEY}/{what}", {"reason": "r"}).status_code == 404
    made = create(api)
    revoked = members(ask(api, "POST", f"keys/{made['id']}/revoke", {"reason": "lost"}))
    assert (revoked["live"], revoked["ended_by"], revoked["ended_why"]) == (False, "anna", "lost")
    assert ask(api, "POST", f"keys/{made['id']}/{what}", {"reason": "r"}).status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "webhook", "owner": "web"}, "kind"),
        ({"kind": "secret", "owner": "nobody"}, "owner"),
        ({"kind": "secret", "owner": "web", "role": "admin"}, "role"),
        ({"kind": "ops", "owner": "ben"}, "role"),
        ({"kind": "ops", "owner": "ben", "role": "root"}, "role"),
        ({"kind": "secret", "owner": "web", "expires": "soon"}, "expires"),
        ({"kind": "secret", "owner": "web", "expires": 90}, "expires"),
        ({"kind": "secret", "owner": "web", "expires": "99999d"}, "expires"),
        ({"kind": "secret", "owner": "web", "label": "a\nb"}, "label"),
    ],
)
def test_an_invalid_key_request_names_its_field(api: Api, body: dict[str, object], field: str) -> None:
    """422, and no key is issued."""
    answer = ask(api, "POST", "keys", body)
    assert answer.status_code == 422
    assert {one["field"] for one in members(answer)["errors"]} == {field}
    assert listed(api) == {}


def test_one_of_twenty_concurrent_rotations_wins(api: Api) -> None:
    """The others get a conflict or, beyond a few at once, are told to come again; and two keys are live."""
    made = create(api)
    path = f"/ops/keys/{made['id']}/rotate"
    found = together(20, lambda _: api.call("POST", path, key=OPS, body={"reason": "r"}).status_code)
    assert found.count(201) == 1
    assert {answer for answer in found if answer != 201} <= {409, 503}
    assert sum(key["live"] for key in listed(api).values()) == 2


# Apps.


def test_an_app_can_be_created_shown_listed_and_removed(in_force: Api) -> None:
    """It gets keys at once; each change is a version of the policy under the operator's name."""
    api = in_force
    body = {"name": "shop", "brand": "Shop", "origins": ["https://shop.example"], "reason": "it opens"}
    made = members(ask(api, "POST", "apps", body))
    assert (made["version"], made["author"], made["reason"], made["warnings"]) == (2, "anna", "it opens", [])
    api.core.active.refresh()
    assert [calls_with(api, one["key"]) for one in made["keys"]] == [202, 202]
    shown = members(ask(api, "GET", "apps/shop"))
    assert (shown["brand"], shown["origins"]) == ("Shop", ["https://shop.example"])
    assert shown["declared_keys"] == {"publishable": 0, "secret": 0}
    assert {one["id"] for one in shown["issued_keys"]} == {one["id"] for one in made["keys"]}
    assert [one["name"] for one in members(ask(api, "GET", "apps"))["apps"]] == ["web", "other", "shop"]
    gone = members(ask(api, "POST", "apps/shop/remove", {"reason": "it closed"}))
    assert (gone["version"], gone["keys"]) == (3, [])
    assert not any(known(api, one["key"]) for one in made["keys"])
    api.core.active.refresh()
    for path in ("apps/shop", "apps/nobody"):
        assert ask(api, "GET", path).status_code == 404
    assert ask(api, "POST", "apps/shop/remove", {"reason": "again"}).status_code == 404
    versions = members(ask(api, "GET", "policy/history"))["versions"]
    assert [(one["author"], one["reason"]) for one in versions[:2]] == [
        ("anna", "it closed"),
        ("anna", "it opens"),
    ]


def test_an_app_without_keys_can_get_keys_later(in_force: Api) -> None:
    """`keys` is true unless the request says otherwise."""
    api = in_force
    body = {"name": "shop", "brand": "Shop", "reason": "r", "keys": False}
    assert members(ask(api, "POST", "apps", body))["keys"] == []
    api.core.active.refresh()
    assert known(api, create(api, owner="shop")["key"])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "Shop"}, "name"),
        ({"name": "web"}, "name"),
        ({"brand": "x" * 41}, "brand"),
        ({"origins": ["https://shop.example/path"]}, "policy"),
        ({"origins": ["*"]}, "policy"),
        ({"keys": "no"}, "keys"),
        ({"reason": ""}, "reason"),
        ({"reason": " "}, "reason"),
    ],
)
def test_an_invalid_app_is_refused(in_force: Api, fields: dict[str, object], field: str) -> None:
    """422 with the field; no version and no key is made."""
    api = in_force
    answer = ask(api, "POST", "apps", {"name": "shop", "brand": "Shop", "reason": "r", **fields})
    assert answer.status_code == 422
    assert {one["field"] for one in members(answer)["errors"]} == {field}
    assert api.core.policies.head() == 1
    assert listed(api) == {}


def test_an_app_that_is_there_already_keeps_its_keys(in_force: Api) -> None:
    """A refused POST revokes nothing."""
    key = create(in_force)["key"]
    answer = ask(in_force, "POST", "apps", {"name": "web", "brand": "Again", "reason": "r"})
    assert answer.status_code == 422
    assert known(in_force, key)


def test_apps_need_a_policy_in_the_store(api: Api) -> None:
    """Before the first version there is no document to edit."""
    assert ask(api, "POST", "apps", {"name": "shop", "brand": "S", "reason": "r"}).status_code == 404


def test_declared_keys_work_beside_issued_ones(api: Api) -> None:
    """They are not listed among the issued keys."""
    assert calls_with(api, PUBLISHABLE) == 202
    assert listed(api) == {}
