"""Settings and policy file together: all mistakes are reported at once, and the text is parsed once."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from otp_service.bootstrap.activation import configure
from otp_service.cli.secrets import SETTINGS, new_secret
from otp_service.errors import ConfigurationError
from otp_service.events import signing_secrets
from tests.conftest import POLICY

GOOD: Mapping[str, str] = {
    "OTP_REDIS_URL": "redis://localhost:6379/0",
    "OTP_ISSUER": "https://otp.example.com",
    **{name: f"{key_id}{new_secret()}" for name, key_id in SETTINGS.items()},
}


def policy_file(folder: Path, text: str = POLICY) -> str:
    """Write a policy with an upstream that is never called."""
    file = folder / "policy.toml"
    file.write_text(text.replace("UPSTREAM/", "https://portal.example/"), encoding="utf-8")
    return str(file)


def start(environment: Mapping[str, str]) -> list[str]:
    """Configure as a process does at its start; return what is wrong."""
    with pytest.raises(ConfigurationError) as caught:
        configure(environment)
    return caught.value.problems


def test_settings_and_policy_that_fit_are_taken(tmp_path: Path) -> None:
    """The first policy is read from its file, the token by the name that the policy gives it."""
    environment = {**GOOD, "OTP_POLICY_FILE": policy_file(tmp_path), "OTP_UPSTREAM_MAIN_TOKEN": "t"}
    read = configure(environment)
    assert read.policy_file
    assert read.policy_file.text == Path(environment["OTP_POLICY_FILE"]).read_text(encoding="utf-8")
    assert read.settings.upstream_tokens == {"OTP_UPSTREAM_MAIN_TOKEN": "t"}


def test_the_policys_own_path_may_come_from_a_file(tmp_path: Path) -> None:
    """OTP_POLICY_FILE is a setting like any other."""
    pointer = tmp_path / "pointer"
    pointer.write_text(policy_file(tmp_path), encoding="utf-8")
    environment = {**GOOD, "OTP_POLICY_FILE_FILE": str(pointer), "OTP_UPSTREAM_MAIN_TOKEN": "t"}
    first = configure(environment).policy_file
    assert first
    assert "[upstream.main]" in first.text


def test_a_process_may_start_without_a_policy_of_its_own() -> None:
    """The active policy is in the store; the file is only for a store without one."""
    read = configure(GOOD)
    assert (read.settings.policy_file, read.policy_file) == ("", None)


def test_an_app_with_events_needs_the_secret_that_signs_them(tmp_path: Path) -> None:
    """A missing or unusable secret is reported at the start by its name, without its value."""
    table = '[app.web.events]\nurl = "https://app.example.com/otp"\nsecret_env = "OTP_EVENTS_WEB"\n'
    environment = {**GOOD, "OTP_UPSTREAM_MAIN_TOKEN": "t"}
    environment["OTP_POLICY_FILE"] = policy_file(tmp_path, f"{POLICY}\n{table}")
    assert start(environment) == ["OTP_EVENTS_WEB is required: the secret that signs events of app.web"]
    (problem,) = start(environment | {"OTP_EVENTS_WEB": "canary"})
    assert problem.startswith("OTP_EVENTS_WEB ")
    assert "canary" not in problem
    configure(environment | {"OTP_EVENTS_WEB": signing_secrets.draw_secret()})


def test_mistakes_of_settings_and_policy_are_told_together(tmp_path: Path) -> None:
    """One start reports everything: a missing key, a bad policy, a missing token."""
    good = {n: v for n, v in GOOD.items() if n != "OTP_SUBJECT_KEY"} | {
        "OTP_POLICY_FILE": policy_file(tmp_path)
    }
    found = start(good)
    assert [problem.split()[0] for problem in found] == ["OTP_SUBJECT_KEY", "OTP_UPSTREAM_MAIN_TOKEN"]
    assert found[1].endswith("is required: the token of upstream.main")
    bad = good | {"OTP_POLICY_FILE": policy_file(tmp_path, "x = 1")}
    assert [problem.split(":")[0] for problem in start(bad)][1:] == ["policy"] * 4


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"OTP_UPSTREAM_MAIN_TOKEN": ""}, "OTP_UPSTREAM_MAIN_TOKEN is required: the token of upstream.main"),
        (
            {"OTP_UPSTREAM_MAIN_TOKEN": "a b"},
            "policy: upstream.main: token must be printable ASCII without spaces",
        ),
        ({"OTP_POLICY_FILE": "/nowhere"}, "OTP_POLICY_FILE names a file that cannot be read"),
    ],
)
def test_what_could_not_send_does_not_start(tmp_path: Path, change: dict[str, str], problem: str) -> None:
    """A missing or impossible token and a missing policy are reported at the start, not at the first send."""
    environment = {**GOOD, "OTP_POLICY_FILE": policy_file(tmp_path), "OTP_UPSTREAM_MAIN_TOKEN": "t"}
    assert start(environment | change) == [problem]


def test_an_upstream_address_that_cannot_work_is_told_at_the_start(tmp_path: Path) -> None:
    """Such as one with a query, which might contain a token."""
    text = POLICY.replace("UPSTREAM/api/v2/", "https://portal.example/api/v2/?access_token=secret-token")
    environment = {**GOOD, "OTP_POLICY_FILE": policy_file(tmp_path, text), "OTP_UPSTREAM_MAIN_TOKEN": "t"}
    (problem,) = start(environment)
    assert problem == (
        "policy: upstream.main.base_url: must not contain a user, password, query or fragment (line 17)"
    )


def test_the_text_of_the_policy_file_is_parsed_once(tmp_path: Path) -> None:
    """A process that finds the same text in the store gets the same policy; another text is parsed."""
    environment = {**GOOD, "OTP_POLICY_FILE": policy_file(tmp_path), "OTP_UPSTREAM_MAIN_TOKEN": "t"}
    configuration = configure(environment)
    assert configuration.policy_file
    text, parsed = configuration.policy_file.text, configuration.policy_file.policy
    assert configuration.parse(text) is parsed
    assert configuration.parse(f"{text}\n") == parsed
    assert configuration.parse(f"{text}\n") is not parsed
