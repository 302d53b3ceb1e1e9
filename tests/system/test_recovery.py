"""A store that is restored from a backup, and one that is lost: what is known afterwards, and what is not.

docs/recovery.md says the same to operators.
"""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest

from otp_service.bootstrap.core import Core
from otp_service.crypto.code_hashes import Claim, digest_of
from otp_service.errors import Busy, ChallengeNotFound, NoRoute, TokenInvalid, TokenSpent
from otp_service.ops.audit import AuditNote
from otp_service.ops.pins import Pin
from otp_service.upstream.port import Reply
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.conftest import make_core, make_settings
from tests.support.http_api import GOOD, NOBODY
from tests.support.numbers import crowd
from tests.support.spine import OPEN_GUARD
from tests.support.valkey_server import ValkeyServer

STOPPED, LATER, ERASED, PINNED, PERSON, OTHER = islice(crowd(), 6)
AUDIT = AuditNote(by="ben", reason="a test")
SHARED = {
    name: getattr(make_settings("unused"), name)
    for name in ("peppers", "number_keys", "lookup_keys", "subject_key", "signing_keys", "device_keys")
} | {"redis_prefix": f"t{secrets.token_hex(6)}"}
"""The secrets, which are not in the store, and the prefix."""


@contextmanager
def service(server: ValkeyServer, offset: int = 0) -> Iterator[Core]:
    """Run the service on a store, with the same secrets each time; `offset` is how late it is (milliseconds)."""
    core = make_core(server.url, NOBODY, text=GOOD + OPEN_GUARD, **SHARED)
    core.scripts.offset = offset
    core.active.refresh()
    core.live_keys.refresh()
    yield core
    core.close()


def caller(core: Core) -> Caller:
    """A server of the app."""
    return Caller(app=core.policy.apps["web"], active=core.active(), request_id="r" * 16)


def stop(core: Core, number: str) -> None:
    """Let a person write STOP."""
    core.replies.record_reply("main", Reply(channel="sms", sender=number, text="STOP"))


def is_stopped(core: Core, number: str) -> bool:
    """Tell whether a number gets no messages."""
    return core.replies.read_suppression(number) is not None


def proven(core: Core, number: str) -> str:
    """Verify a number; gives the token."""
    code, id_ = "123456", core.send.send(caller(core), SendRequest(to=number)).challenge_id
    lease = core.store.challenges.claim(id_)
    assert lease is not None
    digest = digest_of(core.hasher.hash(code, Claim(id_, "login", ""), lease.challenge.scheme))
    assert core.store.challenges.arm(lease, "reference", digest, "main")
    return core.check.verify(caller(core), id_, code).token


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """Run the store in production."""
    running = ValkeyServer()
    yield running
    running.close()


@contextmanager
def restored(server: ValkeyServer, backup: Path) -> Iterator[ValkeyServer]:
    """Start another store from a backup."""
    again = ValkeyServer(options={"appendonly": "no", "dir": str(backup)})
    yield again
    again.close()


def back_up(server: ValkeyServer, folder: Path) -> None:
    """Copy the store's file, as docs/recovery.md says."""
    with server.client() as client:
        client.save()
    shutil.copy(server.folder / "dump.rdb", folder)


def test_a_restored_store_knows_what_was_known_when_it_was_saved(
    server: ValkeyServer, tmp_path: Path
) -> None:
    """STOPs, pins, keys, the policy and spent tokens of then hold; what came later is forgotten, erasures too."""
    with service(server) as core:
        stop(core, STOPPED)
        core.pins.write(Pin(kind="number", subject=PINNED, what="refuse"), AUDIT)
        core.policies.apply(GOOD + OPEN_GUARD + "# first\n", author="ben", reason="first")
        _, early = core.keyring.issue("secret", "web", by="ben")
        stop(core, ERASED)
        spent, kept = proven(core, PERSON), proven(core, PERSON)
        core.redeem.redeem(caller(core), spent)
        back_up(server, tmp_path)
        stop(core, LATER)
        core.policies.apply(GOOD + OPEN_GUARD + "# second\n", author="ben", reason="second")
        core.keyring.issue("secret", "web", by="ben")
        core.erasure.forget(ERASED, by="ben", and_suppression=True)
        core.redeem.redeem(caller(core), kept)
        pending = core.send.send(caller(core), SendRequest(to=OTHER)).challenge_id
    with restored(server, tmp_path) as again, service(again) as core:
        assert [is_stopped(core, number) for number in (STOPPED, LATER, ERASED)] == [True, False, True]
        with pytest.raises(NoRoute):
            core.send.send(caller(core), SendRequest(to=PINNED))
        assert core.policies.version(core.policies.head()).text.endswith("# first\n")  # type: ignore[union-attr]
        assert [key.id for key in core.keyring.read_all()[1]] == [early.id]
        with pytest.raises(TokenSpent):
            core.redeem.redeem(caller(core), spent)
        assert core.redeem.redeem(caller(core), kept)["phone_number"] == PERSON, "spent a second time"
        with pytest.raises(ChallengeNotFound):
            core.manage.status(caller(core), pending)


def test_no_token_is_redeemed_twice_if_the_restored_store_waits(server: ValkeyServer, tmp_path: Path) -> None:
    """Until tokens that were spent after the backup have expired: five minutes."""
    with service(server) as core:
        token = proven(core, PERSON)
        back_up(server, tmp_path)
        core.redeem.redeem(caller(core), token)
    with (
        restored(server, tmp_path) as again,
        service(again, offset=300_000) as core,
        pytest.raises(TokenInvalid),
    ):
        core.redeem.redeem(caller(core), token)


def test_an_empty_store_serves_at_once_with_the_file_of_the_policy(server: ValkeyServer) -> None:
    """Declared keys, tokens and codes to come work; issued keys, STOPs, pins and running challenges are gone."""
    with service(server) as core:
        stop(core, STOPPED)
        core.keyring.issue("secret", "web", by="ben")
        token = proven(core, PERSON)
        pending = core.send.send(caller(core), SendRequest(to=OTHER)).challenge_id
    empty = ValkeyServer()
    try:
        with service(empty) as core:
            assert not is_stopped(core, STOPPED)
            assert core.keyring.read_all()[1] == ()
            with pytest.raises(ChallengeNotFound):
                core.manage.status(caller(core), pending)
            assert core.redeem.redeem(caller(core), token)["phone_number"] == PERSON
            assert proven(core, PERSON)
    finally:
        empty.close()


@pytest.mark.parametrize("lost", ["number_keys", "lookup_keys", "peppers", "signing_keys"])
def test_a_lost_secret_costs_what_the_table_says(server: ValkeyServer, lost: str) -> None:
    """A secret that is in no backup cannot be made again: what it protected is gone, and the rest goes on."""
    with service(server) as core:
        stop(core, STOPPED)
        token = proven(core, PERSON)
        pending = core.send.send(caller(core), SendRequest(to=OTHER)).challenge_id
    other = {lost: {"other": secrets.token_bytes(32)}}
    core = make_core(server.url, NOBODY, text=GOOD + OPEN_GUARD, **(SHARED | other))
    try:
        core.active.refresh()
        assert is_stopped(core, STOPPED) is (lost != "lookup_keys")
        if lost == "signing_keys":
            with pytest.raises(TokenInvalid):
                core.redeem.redeem(caller(core), token)
        else:
            assert core.redeem.redeem(caller(core), token)
        if lost == "number_keys":
            with pytest.raises(Busy):
                core.manage.status(caller(core), pending)
        else:
            assert core.manage.status(caller(core), pending).challenge_id == pending
        assert proven(core, LATER)
    finally:
        core.close()
