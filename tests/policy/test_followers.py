"""Which version each process works with, and which secrets it lacks, on a real server."""

import secrets
from collections.abc import Iterator

import pytest

from otp_service.policy.followers import LIFE, Followers, Report
from tests.support.spine import PatientScripts
from tests.support.valkey_server import ValkeyServer


@pytest.fixture
def scripts(valkey: ValkeyServer) -> Iterator[PatientScripts]:
    """Connections whose time can be moved."""
    made = PatientScripts(valkey, 1)
    yield made
    made.close()


@pytest.fixture
def prefix() -> str:
    """Begins the names of all keys of one deployment."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
def followers(scripts: PatientScripts, prefix: str) -> Followers:
    """The processes of one deployment."""
    return Followers(scripts, prefix=prefix)


def test_a_process_that_keeps_an_older_version_is_named(followers: Followers) -> None:
    """One that follows is not, and one that has followed again is no longer."""
    followers.write("api a:1", Report(4, 4, ()))
    followers.write("worker b:2", Report(3, 4, ()))
    assert followers.behind() == ["worker b:2 keeps version 3, not 4"]
    followers.write("worker b:2", Report(4, 4, ()))
    assert followers.behind() == []


def test_a_process_that_lacks_a_secret_is_named_with_it(followers: Followers) -> None:
    """Every missing secret of every process, by name."""
    followers.write("api a:1", Report(4, 4, ("OTP_UPSTREAM_A_TOKEN", "OTP_EVENTS_WEB")))
    followers.write("worker b:2", Report(3, 4, ("OTP_UPSTREAM_A_TOKEN",)))
    assert followers.lacking(["OTP_UPSTREAM_A_TOKEN"]) == []
    assert followers.lacking({"OTP_EVENTS_WEB", "OTP_UPSTREAM_A_TOKEN"}) == [
        "OTP_EVENTS_WEB is missing in worker b:2: it keeps version 3 until it has it and gets SIGHUP"
    ]


@pytest.mark.parametrize(("gone", "named"), [(0, True), (LIFE + 1, False)])
def test_a_process_that_is_gone_is_forgotten(
    followers: Followers,
    scripts: PatientScripts,
    valkey: ValkeyServer,
    prefix: str,
    gone: int,
    *,
    named: bool,
) -> None:
    """Its reports count as long as it might only be slow; then they leave the store."""
    followers.write("worker b:2", Report(3, 4, ()))
    scripts.offset += gone
    followers.write("api a:1", Report(4, 4, ()))
    assert bool(followers.behind()) is named
    client = valkey.client()
    assert client.hexists(f"{prefix}:followers", "worker b:2") is named
    assert 0 < client.pttl(f"{prefix}:followers") <= LIFE


def test_nobody_reports(followers: Followers) -> None:
    """A deployment that has not started yet lacks nothing."""
    assert followers.lacking(["OTP_EVENTS_WEB"]) == []
    assert followers.behind() == []
    followers.write("api a:1", Report(4, 4, ()))
    assert len(followers.lacking(["OTP_EVENTS_WEB"])) == 1
