"""Messages since the last report, of several processes on one store."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from otp_service.figures.silence import KEEP, Silence, Silences
from otp_service.history.note import Note, What
from otp_service.store.scripts import Scripts
from tests.support.spine import PatientScripts
from tests.support.valkey_server import ValkeyServer

SENT = Note(what=What.SENT, at=1, channel="sms", account="main")
REPORTED = Note(what=What.REPORTED, at=1, channel="sms", account="main", result="delivered")


@pytest.fixture
def scripts(valkey: ValkeyServer) -> Iterator[Scripts]:
    """Give scripts on a real server."""
    made = PatientScripts(valkey, 2)
    yield made
    made.close()


@pytest.fixture
def make(scripts: Scripts) -> Callable[[], Silences]:
    """Give the counts of one more process on the same key."""
    prefix = f"t{secrets.token_hex(6)}"
    return lambda: Silences(scripts, prefix=prefix)


def test_messages_are_counted_since_the_last_report(make: Callable[[], Silences], scripts: Scripts) -> None:
    """Processes add up; the time is that of the first message, and a report begins anew."""
    api, worker = make(), make()
    api.take([REPORTED])
    assert worker.read() == [Silence("main", "sms", 0, 0)]
    worker.take([SENT, SENT])
    (first,) = worker.read()
    scripts.offset += 60_000
    make().take([SENT] * 3)
    assert api.read() == [Silence("main", "sms", 5, first.since)]
    worker.take([SENT, REPORTED, SENT])
    assert api.read() == [Silence("main", "sms", 0, 0)]
    worker.take([SENT])
    (later,) = api.read()
    assert later.messages == 1
    assert later.since >= first.since + 60_000


def test_an_account_that_never_reported_is_not_silent(make: Callable[[], Silences]) -> None:
    """Its reports may have been switched off from the start; another channel of it does not matter."""
    silences = make()
    silences.take([SENT] * 50)
    silences.take([Note(what=What.REPORTED, at=1, channel="voice", account="main")])
    silences.take([SENT] * 50)
    assert silences.read() == [Silence("main", "voice", 0, 0)]


def test_a_batch_counts_for_each_account_and_channel(make: Callable[[], Silences]) -> None:
    """In one call: what one of them reports says nothing of another."""
    silences = make()
    other, call = replace(REPORTED, account="other"), replace(REPORTED, channel="voice")
    silences.take([REPORTED, other, call])
    silences.take([SENT, replace(SENT, account="other"), replace(SENT, account="other"), call])
    assert {(one.account, one.channel): one.messages for one in silences.read()} == {
        ("main", "sms"): 1,
        ("other", "sms"): 2,
        ("main", "voice"): 0,
    }


def test_nothing_else_is_counted(make: Callable[[], Silences]) -> None:
    """No note of another kind, no empty batch; names of accounts may hold the mark between the two."""
    silences = make()
    silences.take([])
    silences.take([Note(what=What.ASKED, at=1), Note(what=What.ENDED, at=1, channel="sms", account="main")])
    assert silences.read() == []
    silences.take([Note(what=What.REPORTED, at=1, channel="sms", account="a|b")])
    assert silences.read() == [Silence("a|b", "sms", 0, 0)]


def test_what_is_known_ends_in_time(valkey: ValkeyServer, make: Callable[[], Silences]) -> None:
    """A store that is used no more forgets it; each batch begins the time anew."""
    silences = make()
    silences.take([SENT])
    client = valkey.client()
    assert not client.keys(f"{silences._key}*")  # noqa: SLF001 - the key's name is not known elsewhere
    silences.take([REPORTED])
    assert 0 < client.pttl(silences._key) <= KEEP  # noqa: SLF001 - as above
    client.close()
