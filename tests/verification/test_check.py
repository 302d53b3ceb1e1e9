"""How a code is checked when this process or the challenge lacks what it takes."""

import pytest

from otp_service.bootstrap.core import Core
from otp_service.challenge.model import State
from otp_service.challenge.send_store import CLAIM_LEASE
from otp_service.errors import Busy, WrongCode
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.support.other_process import NUMBER, ChosenUpstream, other_process, running


def unreadable(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the challenges that the log calls unreadable, and forget them."""
    entries = [one for one in caplog.records if one.getMessage() == "challenge.unreadable"]
    caplog.clear()
    return [one.fields["challenge"] for one in entries]  # type: ignore[attr-defined]


def test_a_process_without_the_seal_says_so_and_leaves_the_work_to_others(
    core: Core, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """While number keys are rotated a process may lack a key: it loses no challenge and rejects no code."""
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    stranger, upstream = (
        other_process(core, ChosenUpstream(), number_keys={"n2": b"2" * 32}),
        ChosenUpstream(),
    )
    with pytest.raises(Busy):
        stranger.manage.status(caller, id_)
    with pytest.raises(Busy):
        stranger.check.verify(caller, id_, "123456")
    assert unreadable(caplog) == [id_[:8]] * 2
    stranger.dispatcher.dispatch(id_, running)
    assert unreadable(caplog) == [id_[:8]]
    assert core.manage.status(caller, id_).status is State.PENDING
    core.scripts.offset += CLAIM_LEASE
    other_process(core, upstream).dispatcher.dispatch(id_, running)
    assert len(upstream.texts) == 1


def test_a_process_without_the_pepper_calls_no_right_code_wrong(
    core: Core, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """It raises Busy, and its worker leaves the delivery to a process that has the pepper."""
    upstream = ChosenUpstream()
    without = other_process(core, upstream, peppers={"p2": b"2" * 32})
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    without.dispatcher.dispatch(id_, running)
    assert upstream.texts == []
    assert unreadable(caplog) == [id_[:8]]
    core.scripts.offset += CLAIM_LEASE
    other_process(core, upstream).dispatcher.dispatch(id_, running)
    code = upstream.texts[0][:6]
    with pytest.raises(Busy):
        without.check.verify(caller, id_, code)
    assert unreadable(caplog) == [id_[:8]]
    assert core.check.verify(caller, id_, code).view.status is State.VERIFIED


def test_every_code_is_wrong_before_a_message_was_sent(core: Core, caller: Caller) -> None:
    """A guess before any message was sent counts and is wrong."""
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    with pytest.raises(WrongCode):
        core.check.verify(caller, id_, "000000")
    assert core.manage.status(caller, id_).checks_left == 4
