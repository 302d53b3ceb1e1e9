"""Servers that are silent: one caller tries each, so that they hold no more."""

import pytest

from otp_service.errors import StoreUnavailable
from otp_service.store.silence import Silences


def refused(silences: Silences, server: str) -> bool:
    """Say whether a caller of a server is refused."""
    try:
        with silences.caller(server):
            return False
    except StoreUnavailable as error:
        return error.retry_after == 2


@pytest.fixture
def silences() -> Silences:
    """Give the silent servers of a process: none."""
    return Silences(retry_after=2)


def test_callers_of_a_server_that_answers_are_never_refused(silences: Silences) -> None:
    """However many there are."""
    with silences.caller("a"), silences.caller("a"):
        assert not refused(silences, "a")


def test_one_caller_tries_a_silent_server_and_the_others_are_told_at_once(silences: Silences) -> None:
    """When the one has given up, the next may try. Callers of other servers are served."""
    silences.record_silence("a")
    for _ in range(3):
        with silences.caller("a"):
            assert refused(silences, "a")
            silences.record_silence("a")
            assert refused(silences, "a")
            assert not refused(silences, "b")


def test_a_server_that_answers_again_serves_all(silences: Silences) -> None:
    """Also those that come before the caller that tried it has left."""
    silences.record_silence("a")
    with silences.caller("a"):
        silences.record_answer("a")
        assert not refused(silences, "a")
    assert not refused(silences, "a")


def test_a_caller_that_came_before_the_silence_is_no_try(silences: Silences) -> None:
    """Its end does not let a second caller try."""
    with silences.caller("a"):
        silences.record_silence("a")
        before = silences.caller("a")
        before.__enter__()
        assert refused(silences, "a")
    assert refused(silences, "a")
    before.__exit__(None, None, None)
    assert not refused(silences, "a")


def test_a_try_that_fails_with_any_error_makes_room_for_the_next(silences: Silences) -> None:
    """A try that could not end would close the server for good."""
    silences.record_silence("a")
    with pytest.raises(RuntimeError), silences.caller("a"):
        raise RuntimeError
    assert not refused(silences, "a")


def test_a_server_without_a_name_is_never_silent(silences: Silences) -> None:
    """A single server has none: with it all is away, and no caller of another one waits."""
    silences.record_silence("")
    with silences.caller(""):
        assert not refused(silences, "")
