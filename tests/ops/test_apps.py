"""Apps as tables of the policy: what is added or removed, that nothing else changes, and what happens to keys."""

import secrets
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service import policy
from otp_service.access.api_keys import digest
from otp_service.access.keyring import Keyring
from otp_service.bootstrap.core import Core
from otp_service.errors import (
    ConfigurationError,
    Invalid,
    KeyConflict,
    NotFound,
    PolicyConflict,
    PolicyInvalid,
)
from otp_service.ops.apps import Apps, check_owner, with_app, without_app
from otp_service.ops.policy_changes import PolicyChanges
from otp_service.policy.versions import Policies, Version
from tests.conftest import POLICY, make_core
from tests.support.http_api import NOBODY
from tests.support.valkey_server import ValkeyServer

GOOD = POLICY.replace("UPSTREAM/", f"{NOBODY}/")
EXAMPLE = (Path(__file__).parents[2] / "docs" / "policy.example.toml").read_text(encoding="utf-8")
MESSY = '''\
# About the whole document.
[app.web]
brand = "Acme" # [app.shop]
origins = [
  "https://a.example", # [app.shop]
]

# About the shop.
[ app . "shop" ]   # here it is
brand = """
[app.web]
[upstream.main]
"""
matrix = [
  [1, 2],
[3, 4],
]

# belongs to the shop, too
[app.shop.events]
url = "x"

# About the account.
[upstream.main]
kind = "k"
words = """
[app.shop]
"""
[[route]]
steps = [
[1],
]
[[route]]
match = { app = ["web"] }
'''


@pytest.fixture
def core(valkey: ValkeyServer) -> Iterator[Core]:
    """A core whose store holds the usual policy."""
    made = make_core(valkey.url, NOBODY)
    made.active.refresh()
    yield made
    made.close()


@pytest.fixture
def apps(core: Core) -> Apps:
    """The object under test."""
    return core.apps


def names(core: Core) -> set[str]:
    """Return the names of the apps in force."""
    newest = core.policies.newest()
    assert newest
    return set(policy.parse(newest.text).apps)


# The text.


def test_a_new_app_stands_at_the_end_and_all_else_stays_as_it_was() -> None:
    """Byte for byte, comments and all."""
    text = with_app(EXAMPLE, "shop", 'A "B" \\ ü 😀', ["https://shop.example"])
    assert text.startswith(EXAMPLE.rstrip())
    added = tomllib.loads(text)["app"].pop("shop")
    assert added == {"brand": 'A "B" \\ ü 😀', "origins": ["https://shop.example"]}
    assert "origins" not in tomllib.loads(with_app(EXAMPLE, "shop", "Shop", []))["app"]["shop"]


@pytest.mark.parametrize(
    "text", [GOOD, EXAMPLE, MESSY, GOOD.replace("\n", "\r\n"), MESSY.replace("\n", "\r\n"), "", "#"]
)
def test_an_app_that_is_added_and_removed_leaves_no_trace(text: str) -> None:
    """Only line ends at the end may differ."""
    assert (
        without_app(with_app(text, "fresh", "Fresh", ["https://x.example"]), "fresh").rstrip()
        == text.rstrip()
    )


@given(brand=st.text(min_size=1, max_size=40), origins=st.lists(st.text(max_size=40), max_size=3))
def test_whatever_is_written_is_read_back_or_refused(brand: str, origins: list[str]) -> None:
    """A brand cannot break out of its quotes."""
    try:
        text = with_app(GOOD, "fresh", brand, origins)
    except Invalid:
        return
    apps = tomllib.loads(text)["app"]
    assert apps.pop("fresh") == {"brand": brand} | ({"origins": origins} if origins else {})
    assert apps == tomllib.loads(GOOD)["app"]


@pytest.mark.parametrize(
    "name", ["", "Web", "a b", "a]\n[operator.evil", "a.b", '"a"', "web", "a" * 33, "a\n"]
)
def test_a_name_that_is_taken_or_none_is_refused(name: str) -> None:
    """The name could otherwise contain TOML."""
    with pytest.raises(Invalid):
        with_app(GOOD, name, "B", [])


def test_a_removed_app_takes_its_tables_and_their_comments_with_it() -> None:
    """Text that looks like a header inside a string, an array or a comment is left alone, byte for byte."""
    text = without_app(MESSY, "shop")
    head, _, rest = MESSY.partition("# About the shop.\n")
    assert text == head + rest[rest.index("# About the account.") :]
    assert tomllib.loads(text)["app"].keys() == {"web"}


def test_what_the_document_begins_with_stays() -> None:
    """This holds directly above the first table, too."""
    text = without_app(MESSY, "web")
    assert text.startswith("# About the whole document.\n")
    assert text.endswith(MESSY[MESSY.index("# About the shop.") :])


@pytest.mark.parametrize(
    "text",
    [
        'app = { web = { brand = "A" }, shop = { brand = "B" } }\n',
        'app.web.brand = "A"\napp.shop.brand = "B"\n',
        '[app]\nweb = { brand = "A" }\nshop = { brand = "B" }\n',
        '[app]\nshop.brand = "B"\n[app.web]\nbrand = "A"\n',
    ],
)
def test_an_app_that_is_no_table_of_its_own_is_left_to_the_operator(text: str) -> None:
    """An edit that would change something else, or nothing, is refused."""
    with pytest.raises(Invalid, match="rule"):
        without_app(text, "shop")


def test_tables_of_an_app_that_stand_apart_go_together() -> None:
    """The order of apps does not matter."""
    text = '[app.shop.events]\na = 1\n[x]\nb = 2\n[app.shop]\nbrand = "B"\n[app.shop.guard.number]\nc = 3\n'
    assert without_app(text, "shop") == "[x]\nb = 2\n"


def test_an_app_that_is_not_there_cannot_go() -> None:
    """An app with a similar name stays, too."""
    for name in ("nobody", "we", "web2"):
        with pytest.raises(NotFound):
            without_app(GOOD, name)


# Versions and keys.


def test_an_app_comes_as_a_version_with_its_first_keys(core: Core, apps: Apps) -> None:
    """They are one publishable and one secret key, and they authenticate as the app."""
    changed = apps.create(
        "shop", brand="Shop", origins=["https://shop.example"], by="anna", reason="it opens"
    )
    assert (changed.version.number, changed.version.author, changed.version.reason) == (2, "anna", "it opens")
    assert names(core) == {"web", "other", "shop"}
    core.live_keys.refresh()
    for (key, record), kind in zip(changed.keys, ("publishable", "secret"), strict=True):
        assert (record.kind, record.owner) == (kind, "shop")
        assert core.live_keys.key_of(digest(key)) == record
    assert not [warning for warning in changed.warnings if "has no key" in warning]


def test_an_app_that_comes_without_keys_causes_a_warning(apps: Apps) -> None:
    """It names what to do next."""
    bare = apps.create("bare", brand="B", origins=[], by="anna", reason="r", with_keys=False)
    assert bare.keys == ()
    assert "app.bare has no key yet, so nobody can call as this app: otp-service keys create" in bare.warnings


def test_a_removed_apps_keys_end_so_that_no_later_app_inherits_them(core: Core, apps: Apps) -> None:
    """They end with the app or, if that was interrupted, when another app of its name is added."""
    apps.create("shop", brand="Shop", origins=[], by="anna", reason="r")
    apps.remove("shop", by="ben", reason="it closed")
    assert names(core) == {"web", "other"}
    now, found = core.keyring.read_all()
    assert [(key.is_live(now), key.ended_by, key.ended_why) for key in found] == [
        (False, "ben", "app removed: it closed")
    ] * 2
    core.keyring.issue("secret", "shop", by="anna")
    core.keyring.issue("ops", "shop", by="anna", role="read")
    apps.create("shop", brand="Another", origins=[], by="anna", reason="r", with_keys=False)
    now, found = core.keyring.read_all()
    assert [key.kind for key in found if key.is_live(now)] == ["ops"], "an operator is no app"


@pytest.mark.parametrize(
    ("brand", "origin"), [("x" * 41, "https://a.example"), ("Shop", "https://a.example/path")]
)
def test_an_app_that_no_policy_may_hold_is_refused(core: Core, apps: Apps, brand: str, origin: str) -> None:
    """The problem has its line; nothing is applied and no key is issued."""
    with pytest.raises(PolicyInvalid):
        apps.create("shop", brand=brand, origins=[origin], by="anna", reason="r")
    assert core.policies.head() == 1
    assert core.keyring.read_all()[1] == ()


@pytest.mark.parametrize(
    ("name", "brand", "origin"),
    [
        ("web", "Shop", "https://a.example"),
        ("shop", "x" * 41, "https://a.example"),
        ("shop", "Shop", "https://a.example/path"),
    ],
)
def test_a_refused_app_leaves_the_keys_of_its_name_alone(
    core: Core, apps: Apps, name: str, brand: str, origin: str
) -> None:
    """Those of the app that has the name already, or those that an earlier app left."""
    core.keyring.issue("secret", name, by="anna")
    with pytest.raises((Invalid, PolicyInvalid)):
        apps.create(name, brand=brand, origins=[origin], by="ben", reason="r")
    now, found = core.keyring.read_all()
    assert [key.is_live(now) for key in found] == [True]


def test_an_app_that_a_route_names_cannot_go(core: Core, apps: Apps) -> None:
    """The policy without it would not work."""
    core.policies.apply(
        GOOD.replace("[[route]]", '[[route]]\nmatch = { app = ["other"] }'), author="a", reason="r"
    )
    with pytest.raises(PolicyInvalid):
        apps.remove("other", by="anna", reason="r")
    assert names(core) == {"web", "other"}


def test_the_last_app_cannot_go(core: Core, apps: Apps) -> None:
    """The refusal says why, and its keys stay."""
    core.keyring.issue("secret", "web", by="anna")
    apps.remove("other", by="anna", reason="r")
    with pytest.raises(Invalid) as caught:
        apps.remove("web", by="anna", reason="r")
    assert caught.value.rules() == [("app", "is the last app; a policy needs at least one [app.NAME]")]
    now, found = core.keyring.read_all()
    assert [key.is_live(now) for key in found] == [True]


def test_a_change_in_between_is_not_overwritten(core: Core) -> None:
    """Another version was applied while the app was written into the version before."""

    class Late(Policies):
        """Versions in which another one is applied directly after a read."""

        def newest(self) -> Version | None:
            found = super().newest()
            self.apply(GOOD.replace("Acme", "Changed"), author="ben", reason="meanwhile")
            return found

    core.keyring.issue("secret", "shop", by="anna")
    late = Late(core.scripts, prefix=core.settings.redis_prefix)
    with pytest.raises(PolicyConflict):
        Apps(changes=PolicyChanges(policies=late, check=core.activation.check), keyring=core.keyring).create(
            "shop", brand="S", origins=[], by="anna", reason="r"
        )
    assert names(core) == {"web", "other"}
    now, found = core.keyring.read_all()
    assert [key.is_live(now) for key in found] == [True], "nothing is revoked either"


@pytest.mark.parametrize("room", [0, 1])
def test_an_app_whose_keys_find_no_room_is_not_added(core: Core, room: int) -> None:
    """It would be in force without keys. Keys that an earlier app of its name left stay, too."""
    left = core.keyring.issue("secret", "shop", by="anna")[1]
    full = Keyring(core.scripts, prefix=core.settings.redis_prefix, most=1 + room)
    with pytest.raises(KeyConflict):
        Apps(changes=core.policy_changes, keyring=full).create(
            "shop", brand="S", origins=[], by="anna", reason="r"
        )
    assert names(core) == {"web", "other"}
    now, found = core.keyring.read_all()
    assert [key.id for key in found if key.is_live(now)] == [left.id]


def test_without_a_policy_there_are_no_apps(valkey: ValkeyServer) -> None:
    """There is nothing to edit."""
    core = make_core(valkey.url, NOBODY, redis_prefix=f"t{secrets.token_hex(6)}")
    with pytest.raises(NotFound):
        core.apps.remove("web", by="anna", reason="r")
    core.close()


@pytest.mark.parametrize(
    ("kind", "owner", "role", "field"),
    [
        ("secret", "nobody", "", "owner"),
        ("publishable", "nobody", "", "owner"),
        ("secret", "web", "read", "role"),
        ("ops", "ben", "", "role"),
        ("ops", "ben", "root", "role"),
        ("ops", "Ben\n", "read", "owner"),
    ],
)
def test_a_key_that_would_let_nobody_in_is_not_issued(kind: str, owner: str, role: str, field: str) -> None:
    """Each error names the field."""
    loaded = policy.parse(GOOD)
    with pytest.raises(Invalid) as caught:
        check_owner(loaded, kind=kind, owner=owner, role=role)
    assert [name for name, _ in caught.value.rules()] == [field]
    check_owner(loaded, kind="secret", owner="web", role="")
    check_owner(loaded, kind="ops", owner="ben", role="read")


def test_the_check_of_a_process_holds_for_apps_too(core: Core) -> None:
    """A policy that no process could run is refused."""

    def refuse(_: str) -> policy.Policy:
        raise ConfigurationError(["OTP_UPSTREAM_X is required"])

    with pytest.raises(PolicyInvalid):
        Apps(changes=PolicyChanges(policies=core.policies, check=refuse), keyring=core.keyring).remove(
            "other", by="a", reason="r"
        )
