"""Settings: every variable can be missing, wrong, set twice or misspelt, and all mistakes are reported at once."""

import base64
import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from otp_service import settings
from otp_service.errors import ConfigurationError
from otp_service.settings import Settings
from tests.conftest import make_settings

_numbers = itertools.count()


def key() -> str:
    """Make another key, written as `otp-service secrets` does; the same ones in each run, as test names."""
    made = hashlib.sha256(str(next(_numbers)).encode()).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


GOOD: Mapping[str, str] = {
    "OTP_REDIS_URL": "redis://:pass@localhost:6379/0",
    "OTP_ISSUER": "https://otp.example.com",
    "OTP_PEPPERS": f"p2:{key()},p1:{key()}",
    "OTP_NUMBER_KEYS": f"n1:{key()}",
    "OTP_LOOKUP_KEYS": f"l1:{key()}",
    "OTP_SUBJECT_KEY": key(),
    "OTP_SIGNING_KEYS": f"s1:{key()}",
    "OTP_DEVICE_KEYS": f"d1:{key()}",
}
WRONG: Mapping[str, list[str]] = {
    "OTP_REDIS_URL": [
        "",
        "localhost",
        "http://localhost",
        "redis://",
        "redis://host:port",
        "redis://host:6379:1",
        "redis://a b",
        "unix://",
        "redis+sentinel://a:1,b:2",
        "redis+sentinel://a:1,b:2/",
        "redis+cluster://a:1,,b:2",
    ],
    "OTP_POLICY_FILE": [],
    "OTP_ISSUER": [
        "",
        "foo",
        "auth.example.org",
        "//auth.example.org",
        "https://",
        "ftp://auth.example.org",
        "http://auth.example.org",
        "http://10.0.0.1:8000",
        "http://localhost.example.com",
        "http://127.0.0.1@auth.example.org",
        "https://user:pw@auth.example.org",
        "https://auth.example.org?tenant=1",
        "https://auth.example.org/#top",
        "https://auth.example.org:0",
        "https://auth.example.org:65536",
        "https://auth.example.org /",
        "https://Auth.example.org",
        "HTTPS://auth.example.org",
        " https://auth.example.org",
    ],
    "OTP_PEPPERS": [
        "",
        key(),
        f"p1:{key()[:-1]}",
        f"p1:{key()},p1:{key()}",
        "p1:",
        f"a b!:{key()}",
        f"p1:{key()}AA",
    ],
    "OTP_NUMBER_KEYS": ["", ",", f"n1:{'!' * 43}", f"{'n' * 17}:{key()}"],
    "OTP_LOOKUP_KEYS": ["", key(), f"l1:{key()[:-1]}"],
    "OTP_SUBJECT_KEY": ["", "short", f"{key()}!", "\u00e9" * 43, "A", f"n1:{key()}"],
    "OTP_SIGNING_KEYS": ["", "s1"],
    "OTP_DEVICE_KEYS": ["", "d1"],
    "OTP_HASH_PROFILE": ["", "testing", "OWASP", "argon2"],
    "OTP_REDIS_PREFIX": ["", "a b", "{otp}", "a" * 65],
    "OTP_REDIS_WAIT_REPLICAS": ["", "-1", "9", "one", "1.5"],
    "OTP_REDIS_WAIT_MS": ["", "0", "9", "401", "1s"],
    "OTP_PARTITIONS": ["", "0", "257", "-1", "1.5", "1e1", "\u0661", " 8", "sixty"],
    "OTP_KEEP_CHALLENGES": ["", "0m", "25h", "600", "10s", "1.5h", " 10m", "\u0661h", "00001h"],
    "OTP_KEEP_IDEMPOTENCY": ["9m", "8d", "24H"],
    "OTP_KEEP_EVENTS": ["59m", "15d"],
    "OTP_KEEP_HISTORY": ["59m", "91d", "00", "off"],
    "OTP_HISTORY_MEMORY": ["15MB", "65GB", "256", "256mb", "1.5GB"],
    "OTP_LISTEN": ["", "8000", ":8000", "localhost", "localhost:", "localhost:65536", "a b:1", "[::1]"],
    "OTP_OPS_LISTEN": ["8001", "localhost:65536", "127.0.0.1:0", "127.0.0.1:00", ":8001"],
    "OTP_PROCESSES": ["0", "65", "two"],
    "OTP_THREADS": ["0", "257"],
    "OTP_TRUSTED_PROXIES": ["-1", "9", "*", "10.0.0.0/8"],
    "OTP_WORKER_PROCESSES": ["-1", "65", "all"],
    "OTP_WORKER_SENDS": ["0", "513"],
    "OTP_WORKER_NAME": [],
    "OTP_WORKER_METRICS": ["9464", "-1", "127.0.0.1:0", "127.0.0.1:65536", "9100/tcp", ":9464"],
    "OTP_WORKER_SILENCE": ["", "10", "4s", "61m", "1d"],
    "OTP_SEND_WAIT": ["", "5", "0s", "11m", "1h"],
    "OTP_PRIVATE_EVENTS": ["", "true", "1", "YES", "on"],
    "OTP_CAPTCHA_SECRET": [],
    "OTP_LOG_LEVEL": ["", "trace", "INFO", "10"],
}
ALSO_GOOD: Mapping[str, list[str]] = {
    "OTP_REDIS_URL": [
        "rediss://user:p%40ss@redis.example.com",
        "unix:///run/redis.sock?db=1",
        "redis://[::1]:6379",
        "redis+sentinel://a:26379,b/main/2",
        "rediss+sentinel://:pw@a,b,c/main?sentinel_password=x",
        "redis+cluster://a:7000,b:7001",
        "rediss+cluster://a",
    ],
    "OTP_ISSUER": [
        "https://otp.example.com/tenant/1",
        "https://otp.example.com:8443/",
        "https://10.0.0.1",
        "https://otp",
        "http://localhost:8000",
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
    ],
    "OTP_KEEP_CHALLENGES": ["1m", "1440m", "1d"],
    "OTP_KEEP_EVENTS": ["1h", "14d"],
    "OTP_KEEP_HISTORY": ["0", "1h", "90d"],
    "OTP_HISTORY_MEMORY": ["16MB", "64GB", "2GB"],
    "OTP_WORKER_SILENCE": ["5s", "1m", "1h"],
    "OTP_SEND_WAIT": ["1s", "10s", "10m"],
    "OTP_LISTEN": ["0.0.0.0:80", "[::]:8000", "api.internal:0"],
    "OTP_OPS_LISTEN": ["", "127.0.0.1:8001", "[::1]:8001"],
    "OTP_WORKER_METRICS": ["", "127.0.0.1:9464", "[::1]:9464", "metrics.internal:9464"],
    "OTP_PEPPERS": [f"p2:{key()}\np1:{key()}\n", f" p2:{key()} , p1:{key()},"],
    "OTP_SUBJECT_KEY": [f"{key()}=", base64.b64encode(b"\xfb\xff" * 16).decode()],
    "OTP_WORKER_NAME": ["", "worker-1"],
    "OTP_POLICY_FILE": ["", "/etc/otp/policy.toml"],
    "OTP_PRIVATE_EVENTS": ["yes", "no"],
    "OTP_CAPTCHA_SECRET": ["", "0x4AAAAAAA"],
}


def problems(environment: Mapping[str, str]) -> list[str]:
    """Return what is wrong with an environment."""
    with pytest.raises(ConfigurationError) as caught:
        settings.read(environment)
    return caught.value.problems


def test_good_settings_are_read_with_their_defaults() -> None:
    """Required settings come from the environment; all others have a safe default."""
    read = settings.read({**GOOD, "PATH": "/bin", "HOME": "/"})
    assert read.redis_url == GOOD["OTP_REDIS_URL"]
    assert list(read.peppers) == ["p2", "p1"]
    assert {len(value) for value in (*read.peppers.values(), read.subject_key)} == {32}
    assert (read.hash_profile, read.trusted_proxies, read.listen) == ("owasp", 0, "127.0.0.1:8000")
    assert (read.partitions, read.log_level, read.redis_prefix) == (64, "info", "otp")


@pytest.mark.parametrize(
    ("listen", "ops"),
    [
        ("127.0.0.1:8000", "127.0.0.1:8000"),
        ("0.0.0.0:8000", "127.0.0.1:8000"),
        ("127.0.0.1:8000", "[::1]:08000"),
        ("127.0.0.1:0", "127.0.0.1:8001"),
    ],
)
def test_two_listeners_differ_in_their_ports(listen: str, ops: str) -> None:
    """Requests are told apart by their port, so two hosts with one port are not enough; port 0 may become any port."""
    (problem,) = problems({**GOOD, "OTP_LISTEN": listen, "OTP_OPS_LISTEN": ops})
    assert problem.startswith("OTP_OPS_LISTEN must not have the port of OTP_LISTEN")
    assert settings.read({**GOOD, "OTP_OPS_LISTEN": "127.0.0.1:8001"}).ops_port == 8001
    assert settings.read(GOOD).ops_port is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "redis://localhost"),
        ("rediss://user:p%40ss@redis.example.com:6380/2?x=secret", "rediss://redis.example.com:6380/2"),
        ("redis://:pa#ss@[::1]:6379", "redis://[::1]:6379"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("rediss+sentinel://:pw@a,b,c/main?sentinel_password=x", "rediss+sentinel://a,b,c/main"),
    ],
)
def test_the_stores_address_is_shown_without_secrets(url: str, shown: str) -> None:
    """For messages to operators."""
    assert settings.read({**GOOD, "OTP_REDIS_URL": url}).store_address == shown


@pytest.mark.parametrize("name", GOOD)
def test_a_required_setting_that_is_missing_is_named_with_its_meaning(name: str) -> None:
    """No secret and no address has a default."""
    (problem,) = problems({n: v for n, v in GOOD.items() if n != name})
    about = next(about for variable, about, _ in settings.variables() if variable == name)
    assert problem == f"{name} is required: {about}"


def test_every_variable_has_wrong_values_here() -> None:
    """A new setting without tests of its form fails here."""
    assert set(WRONG) == {name for name, _, _ in settings.variables()}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values])
def test_a_wrong_value_is_told_by_its_variable_and_never_repeated(name: str, value: str) -> None:
    """One problem, which begins with the variable and says what it must be; the value may be a secret."""
    (problem,) = problems({**GOOD, name: value})
    assert problem.startswith((f"{name} must ", f"{name} has the id "))
    assert len(value) <= 8 or value not in problem


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in ALSO_GOOD.items() for v in values])
def test_other_good_forms_are_taken(name: str, value: str) -> None:
    """It has all documented events."""
    settings.read({**GOOD, name: value})


def test_all_mistakes_are_told_together() -> None:
    """Missing, wrong, doubled, unreadable and unknown ones in one go."""
    found = problems(
        {
            "OTP_REDIS_URL": "localhost",
            "OTP_PEPPERS": "x",
            "OTP_PEPPERS_FILE": "/x",
            "OTP_SUBJECT_KEY_FILE": "/nowhere/key",
            "OTP_PARTITIONS": "0",
            "OTP_PARTITION": "8",
            "OTP_UPSTREAM_A_TOKEN_FILE": "/nowhere/a",
            "OTP_UPSTREAM_B_TOKEN_FILE": "/nowhere/b",
            "OTP_EVENTS_WEB_SECRET_FILE": "/nowhere/c",
        }
    )
    assert [problem.split()[0] for problem in found] == [
        "OTP_REDIS_URL",
        "OTP_ISSUER",
        "OTP_PEPPERS",
        "OTP_NUMBER_KEYS",
        "OTP_LOOKUP_KEYS",
        "OTP_SUBJECT_KEY",
        "OTP_SIGNING_KEYS",
        "OTP_DEVICE_KEYS",
        "OTP_PARTITIONS",
        "OTP_UPSTREAM_A_TOKEN",
        "OTP_UPSTREAM_B_TOKEN",
        "OTP_EVENTS_WEB_SECRET",
        "OTP_PARTITION",
    ]


# Files.


@pytest.mark.parametrize("name", [name for name, _, _ in settings.variables() if WRONG[name]])
def test_every_setting_can_come_from_a_file(tmp_path: Path, name: str) -> None:
    """As container platforms provide secrets, with a final newline."""
    default = next(default for variable, _, default in settings.variables() if variable == name)
    value = GOOD.get(name) or default or ""
    file = tmp_path / "value"
    file.write_text(f"{value}\n", encoding="utf-8")
    environment = {n: v for n, v in GOOD.items() if n != name} | {f"{name}_FILE": str(file)}
    assert settings.read(environment) == settings.read({**GOOD, name: value})


@pytest.mark.parametrize("name", [name for name, _, _ in settings.variables()])
def test_a_value_and_a_file_for_it_contradict_each_other(tmp_path: Path, name: str) -> None:
    """Neither wins silently."""
    file = tmp_path / "value"
    file.write_text(GOOD.get(name, "1"), encoding="utf-8")
    (problem,) = problems({**GOOD, name: GOOD.get(name, "1"), f"{name}_FILE": str(file)})
    assert problem == f"{name} and {name}_FILE are both set: set only one"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named_by_its_variable(tmp_path: Path, content: bytes | None) -> None:
    """Missing, a folder, or no text."""
    file = tmp_path / "value"
    if content:
        file.write_bytes(content)
    for path in (file, tmp_path):
        environment = {n: v for n, v in GOOD.items() if n != "OTP_SUBJECT_KEY"}
        (problem,) = problems({**environment, "OTP_SUBJECT_KEY_FILE": str(path)})
        assert problem == "OTP_SUBJECT_KEY cannot be read from the file that OTP_SUBJECT_KEY_FILE names"


# Unknown names.


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("OTP_PEPPER", "; did you mean OTP_PEPPERS?"),
        ("OTP_PEPPER_FILE", "; did you mean OTP_PEPPERS_FILE?"),
        ("OTP_REDIS_URI", "; did you mean OTP_REDIS_URL?"),
        ("OTP_LOGLEVEL", "; did you mean OTP_LOG_LEVEL?"),
        ("OTP_ZZZZZZZZZZ", ""),
    ],
)
def test_an_unknown_setting_is_refused_with_the_likely_name(name: str, advice: str) -> None:
    """A misspelt limit must not silently become the default."""
    assert problems({**GOOD, name: "x"}) == [f"{name} is not a setting{advice}"]


def test_other_peoples_variables_are_none_of_our_business() -> None:
    """Only the prefix is ours."""
    settings.read({**GOOD, "OTPX": "1", "REDIS_URL": "x", "otp_pepper": "x"})


# Upstream tokens.


def test_upstream_tokens_are_read_by_name_and_from_files(tmp_path: Path) -> None:
    """Any number of accounts, each named by the policy."""
    file = tmp_path / "token"
    file.write_text("t2\n", encoding="utf-8")
    read = settings.read({**GOOD, "OTP_UPSTREAM_A_TOKEN": "t1", "OTP_UPSTREAM_B_TOKEN_FILE": str(file)})
    assert read.upstream_tokens == {"OTP_UPSTREAM_A_TOKEN": "t1", "OTP_UPSTREAM_B_TOKEN": "t2"}


def test_a_token_and_a_file_for_it_contradict_each_other() -> None:
    """As with any setting."""
    environment = {**GOOD, "OTP_UPSTREAM_A_TOKEN": "t1", "OTP_UPSTREAM_A_TOKEN_FILE": "/x"}
    assert problems(environment) == [
        "OTP_UPSTREAM_A_TOKEN and OTP_UPSTREAM_A_TOKEN_FILE are both set: set only one"
    ]


# Secrets.


def test_no_secret_shows_in_a_repr() -> None:
    """Keys, tokens, and the address with its password stay out of tracebacks."""
    read = settings.read({**GOOD, "OTP_UPSTREAM_A_TOKEN": "upstream-secret"})
    shown = repr(read)
    for secret in (GOOD["OTP_SUBJECT_KEY"], "pass", "upstream-secret", repr(read.subject_key)[2:-1]):
        assert secret not in shown
    for ring in (read.peppers, read.number_keys, read.signing_keys):
        for value in ring.values():
            assert repr(value)[2:-1] not in shown
    assert "otp.example.com" in shown


def test_every_bytes_or_token_field_is_hidden() -> None:
    """A new secret setting that is not hidden fails here: all visible settings are plain text or numbers."""
    for field in fields(Settings):
        hidden = field.name in {
            "redis_url",
            "peppers",
            "number_keys",
            "lookup_keys",
            "subject_key",
            "signing_keys",
            "device_keys",
            "upstream_tokens",
            "event_secrets",
            "captcha_secret",
        }
        assert field.repr is not hidden
        if field.repr:
            assert isinstance(getattr(make_settings("unix:///x"), field.name), str | int)


def test_every_variable_is_listed_with_meaning_and_default() -> None:
    """The table in docs/settings.md is made from this list."""
    listed = settings.variables()
    assert {name for name, _, default in listed if default is None} == set(GOOD)
    assert all(about for _, about, _ in listed)
    for name, _, default in listed:
        if default is not None:
            settings.read({**GOOD, name: default})


def test_the_rings_of_tokens_share_no_key() -> None:
    """With a common one a device token would be a proof that a code was entered."""
    shared = key()
    given = {**GOOD} | {"OTP_SIGNING_KEYS": f"s1:{key()},s2:{shared}", "OTP_DEVICE_KEYS": f"d1:{shared}"}
    with pytest.raises(ConfigurationError, match="must not have a key of OTP_SIGNING_KEYS"):
        settings.read(given)
