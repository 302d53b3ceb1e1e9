"""Which challenges can be cancelled, and which tokens redeemed."""

import pytest
from flask.testing import FlaskClient

from otp_service.bootstrap.core import Core
from otp_service.challenge.model import State
from otp_service.errors import ChallengeNotFound, WrongCode
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.conftest import SECRET
from tests.support.other_process import NUMBER, ChosenUpstream, other_process, running


def test_an_exhausted_challenge_cannot_be_cancelled(core: Core, caller: Caller) -> None:
    """A final state stays."""
    id_ = core.send.send(caller, SendRequest(to=NUMBER)).challenge_id
    for _ in range(5):
        with pytest.raises(WrongCode):
            core.check.verify(caller, id_, "000000")
    with pytest.raises(ChallengeNotFound):
        core.manage.cancel(caller, id_)
    assert core.manage.status(caller, id_).status is State.EXHAUSTED


def test_the_longest_binding_gives_a_token_that_can_be_redeemed(client: FlaskClient, core: Core) -> None:
    """A binding that a send accepts does not make the token too long to redeem."""
    caller, upstream = (
        Caller(app=core.policy.apps["web"], active=core.active(), request_id="r"),
        ChosenUpstream(),
    )
    wanted = SendRequest(to=NUMBER, binding="\U0001f600" * 256, reference="r" * 64)
    id_ = core.send.send(caller, wanted).challenge_id
    other_process(core, upstream).dispatcher.dispatch(id_, running)
    token = core.check.verify(caller, id_, upstream.texts[0][:6]).token
    answer = client.post(
        "/otp/token/redeem", json={"token": token}, headers={"Authorization": f"Bearer {SECRET}"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["binding"] == wanted.binding
