"""The `keys` and `apps` commands: the same changes as the operators' HTTP API, for a terminal."""

import getpass
import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from otp_service import policy
from otp_service.access.api_keys import digest
from otp_service.cli import main as cli
from tests.conftest import POLICY, UPSTREAM_TOKEN
from tests.support.http_api import NOBODY
from tests.support.valkey_server import ValkeyServer

Run = Callable[..., tuple[int, str, str]]
MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ"


@pytest.fixture
def run(
    valkey: ValkeyServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Runs `otp-service ...` with the settings of a product; returns exit code, output and errors."""
    file = tmp_path / "policy.toml"
    file.write_text(POLICY.replace("UPSTREAM/", f"{NOBODY}/"), encoding="utf-8")
    assert cli.run(["secrets"]) == 0
    made = dict(line.split("=", maxsplit=1) for line in capsys.readouterr().out.splitlines())
    made |= {
        "OTP_REDIS_URL": valkey.url,
        "OTP_REDIS_PREFIX": f"t{secrets.token_hex(6)}",
        "OTP_POLICY_FILE": str(file),
        "OTP_ISSUER": "https://otp.example.com",
        "OTP_UPSTREAM_MAIN_TOKEN": UPSTREAM_TOKEN,
    }
    for name, value in made.items():
        monkeypatch.setenv(name, value)

    def act(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return act


def issued(out: str) -> tuple[str, str]:
    """Return key and id of what was issued."""
    found = re.search(r"^key: (\S+)   \(shown once\)\nid:  ([0-9a-f]{10})   ", out, re.MULTILINE)
    assert found, out
    return found[1], found[2]


def row(run: Run, id_: str) -> list[str]:
    """Return the columns of a key in the list."""
    lines = run("keys", "list")[1].splitlines()
    (line,) = [line for line in lines if line.startswith(id_)]
    return re.split(r" {2,}", line)


def test_a_key_goes_through_its_life(run: Run) -> None:
    """It is created, listed, rotated and revoked; the list shows who and why, and never the key itself."""
    code, out, _ = run("keys", "create", "secret", "web", "--expires", "90d", "--label", "checkout")
    assert code == 0
    first, id_ = issued(out)
    assert first.startswith("sk_")
    assert re.search(rf"\(secret key of web, until {MOMENT}\)\n", out)
    columns = row(run, id_)
    assert (columns[1:3], columns[5:]) == (["secret", "web"], ["not yet", "checkout"])
    code, out, _ = run("keys", "rotate", id_, "--reason", "a quarter is over", "--overlap", "1h")
    assert code == 0
    second, successor = issued(out)
    assert re.search(rf"^{id_} ends {MOMENT}\n", out, re.MULTILINE)
    assert row(run, successor)[6] == "checkout"
    code, out, err = run("keys", "revoke", id_, "--reason", "lost", "--author", "ben")
    assert (code, out) == (0, f"{id_} of web is revoked\n")
    assert {"event": "key.revoked", "key_id": id_, "by": "ben", "why": "lost"}.items() <= json.loads(
        err
    ).items()
    assert row(run, id_)[6] == "ended by ben: lost"
    listed = run("keys", "list")[1]
    for key in (first, second):
        assert key not in listed
        assert digest(key)[:9] not in listed


def test_a_rotation_beside_another_valid_key_says_which_one(run: Run) -> None:
    """It is the successor or the predecessor of the key."""
    _, old = issued(run("keys", "create", "secret", "web")[1])
    _, new = issued(run("keys", "rotate", old, "--reason", "r")[1])
    for id_, other, kin in ((old, new, "successor"), (new, old, "predecessor")):
        said = f"Key {other}, its {kin}, is also valid. Revoke one of the two first.\n"
        assert run("keys", "rotate", id_, "--reason", "again") == (1, "", said)


def test_an_operators_key_has_a_role(run: Run) -> None:
    """It does not expire unless an expiry is given."""
    code, out, _ = run("keys", "create", "ops", "ben", "--role", "operate")
    assert code == 0
    key, id_ = issued(out)
    assert key.startswith("ops_")
    assert "(ops key of ben, until it is revoked)" in out
    columns = row(run, id_)
    assert columns[2] == "ben (operate)"
    assert columns[4] == "never"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "ops", "ben"), "role: must be one of read, operate, admin"),
        (("create", "secret", "nobody"), "owner: must be an app of the policy in force"),
        (("create", "secret", "web", "--role", "read"), "role: must be left out"),
        (("rotate", "0000000000", "--reason", "r"), "There is no key with this id"),
        (("revoke", "0000000000", "--reason", "r"), "There is no key with this id"),
    ],
)
def test_what_cannot_be_is_told_with_exit_code_1(run: Run, arguments: tuple[str, ...], said: str) -> None:
    """The reason goes to standard error, and nothing is issued."""
    code, out, error = run("keys", *arguments)
    assert (code, out) == (1, "")
    assert said in error
    assert len(run("keys", "list")[1].splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "create", "webhook", "web"),
        ("keys", "create", "secret"),
        ("keys", "create", "secret", "web", "--expires", "soon"),
        ("keys", "rotate", "0000000000"),
        ("keys", "revoke", "0000000000"),
        ("apps", "create", "shop", "--reason", "r"),
        ("apps", "create", "shop", "--brand", "Shop"),
        ("apps", "remove", "shop"),
    ],
)
def test_a_change_without_what_it_needs_is_a_wrong_option(run: Run, arguments: tuple[str, ...]) -> None:
    """Every change except a new key needs a reason."""
    assert run(*arguments)[0] == 2


def test_an_app_goes_through_its_life(run: Run) -> None:
    """It is created with two keys, listed, shown and removed; comments in the policy stay."""
    before = run("policy", "diff", "1", "1")
    assert before[0] == 1, "nothing is in force yet"
    create = (
        "apps",
        "create",
        "shop",
        "--brand",
        "Shop",
        "--origin",
        "https://a.example",
        "--reason",
        "it opens",
    )
    code, out, _ = run(*create, "--origin", "https://b.example")
    assert code == 0
    assert "has no key" not in out
    assert "version 2 is in force\n" in out
    assert [key[:3] for key in re.findall(r"^key: (\S+)", out, re.MULTILINE)] == ["pk_", "sk_"]
    shown = run("policy", "show")[1]
    assert policy.parse(shown).apps["shop"].origins == ("https://a.example", "https://b.example")
    lines = run("apps", "list")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["web", "other", "shop"]
    about = run("apps", "show", "shop")[1].splitlines()
    assert about[:3] == [
        "shop: Shop",
        "origins: https://a.example https://b.example",
        "keys in the policy: 0 publishable, 0 secret",
    ]
    assert len(about) == 3 + 1 + 2
    assert run("apps", "show", "other")[1].splitlines() == [
        "other: Other",
        "origins: none",
        "keys in the policy: 0 publishable, 1 secret",
    ]
    assert run("apps", "remove", "shop", "--reason", "it closed")[:2] == (0, "version 3 is in force\n")
    assert run("policy", "diff", "1", "3")[1] == "no differences\n"
    assert [line.rpartition("ended by ")[2] for line in run("keys", "list")[1].splitlines()[1:]] == [
        f"{getpass.getuser()}: app removed: it closed"
    ] * 2
    assert run("apps", "show", "shop")[0] == 1
    assert run(*create, "--no-keys")[1].count("key: ") == 0


def test_an_app_that_is_there_already_keeps_its_keys(run: Run) -> None:
    """A refused `apps create` revokes nothing."""
    _, id_ = issued(run("keys", "create", "secret", "web")[1])
    code, out, error = run("apps", "create", "web", "--brand", "Again", "--reason", "r")
    assert (code, out) == (1, "")
    assert "name: must not be an app already" in error
    assert row(run, id_)[4] == "never"


def test_a_key_can_be_drawn_without_a_store(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first operator needs a key for a policy that is not written yet."""
    monkeypatch.delenv("OTP_REDIS_URL", raising=False)
    assert cli.run(["keys", "draw", "webhook"]) == 0
    assert capsys.readouterr().out.startswith("key:  whs_")
    assert cli.run(["keys", "draw", "events"]) == 0
    assert capsys.readouterr().out.startswith("secret: whsec_")


@pytest.mark.parametrize("expires", ["0d", "0s"])
def test_a_key_that_ends_at_once_is_not_issued(run: Run, expires: str) -> None:
    """It would be refused from its first use."""
    code, _, error = run("keys", "create", "secret", "web", "--expires", expires)
    assert (code, "must be a time such as 90d or 24h, from 1s" in error) == (2, True)


@pytest.mark.parametrize("label", ["a\nb", "a\u202eb", "a\u200bb", "l" * 81])
def test_a_label_has_only_what_a_list_can_show(run: Run, label: str) -> None:
    """As in the operators' HTTP API."""
    code, _, error = run("keys", "create", "secret", "web", "--label", label)
    assert (code, "must be at most 80 visible characters" in error) == (2, True)
