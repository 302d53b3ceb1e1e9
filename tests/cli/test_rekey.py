"""The `rekey` and `forget` commands, and the operators' call that forgets: what they print and how they end."""

import json
import secrets

import pytest

from otp_service.bootstrap.core import Core
from otp_service.upstream.port import Reply
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.conftest import OPS
from tests.support.http_api import NUMBER, Api, Run

pytest_plugins = ["tests.support.http_fixtures", "tests.support.command_fixtures"]


def stop(product: Core) -> None:
    """Record a STOP from the number."""
    product.replies.record_reply("main", Reply(channel="sms", sender=NUMBER, text="STOP"))


def rotate(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, *, drop: bool) -> None:
    """Put new keys first, and drop or keep the old ones."""
    made = secrets.token_urlsafe(32)
    for name in ("OTP_NUMBER_KEYS", "OTP_LOOKUP_KEYS"):
        monkeypatch.setenv(name, f"new:{made}" if drop else f"new:{made},{environment[name]}")


def test_renewing_says_when_the_older_keys_can_go(
    run: Run, product: Core, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to renew, then one record, then none; progress goes to standard error."""
    stop(product)
    code, out, _ = run("rekey")
    assert code == 0
    assert out.splitlines() == [
        "suppressions: 0 renewed, 1 were up to date",
        "pins: 0 renewed, 0 were up to date",
        "nothing here needs the older keys any more",
    ]
    rotate(environment, monkeypatch, drop=False)
    code, out, err = run("rekey")
    assert (code, out.splitlines()[0]) == (0, "suppressions: 1 renewed, 0 were up to date")
    assert err.splitlines()[-1] == "pins: 0 seen"
    assert "suppressions: 1 seen" in err.splitlines()
    assert run("rekey")[1].startswith("suppressions: 0 renewed, 1 were up to date\n")


def test_renewing_fails_while_the_older_keys_are_needed(
    run: Run, product: Core, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key was dropped too early, or a number was erased: it says which, and ends with 1."""
    stop(product)
    with monkeypatch.context() as early:
        rotate(environment, early, drop=True)
        code, out, _ = run("rekey")
        assert code == 1
        assert "suppressions: 1 were sealed with a key that is not in OTP_NUMBER_KEYS\n" in out
        assert out.endswith("the older keys are still needed\n")
    product.erasure.forget(NUMBER, by="a test")
    rotate(environment, monkeypatch, drop=False)
    code, out, _ = run("rekey")
    assert code == 1
    assert "suppressions: 1 stay under an older lookup key, as their numbers were forgotten\n" in out


def test_forgetting_says_what_was_found(run: Run, product: Core) -> None:
    """It counts records by kind and says what stays; the audit log has the number masked, and nothing prints it."""
    caller = Caller(app=product.policy.apps["web"], active=product.active(), request_id="r" * 16)
    product.send.send(caller, SendRequest(to=NUMBER), "key")
    stop(product)
    code, out, err = run("forget", "(202) 555-0100", "--country", "US", "--author", "anna")
    assert code == 0
    lines = out.splitlines()
    assert {"challenges: 1 removed", "idempotency keys: 1 removed", "open channels: 1 removed"} <= set(lines)
    assert lines[-1].startswith("the number stays on the suppression list")
    assert err.startswith("going through challenges\n")
    (audit,) = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert (audit["event"], audit["by"]) == ("number.forgotten", "anna")
    assert NUMBER[2:] not in out + err
    code, out, _ = run("forget", NUMBER, "--and-suppression")
    assert (code, out.splitlines()[-1]) == (0, "suppressions: 1 removed")
    assert product.replies.read_suppression(NUMBER) is None


def test_forgetting_fails_for_what_it_cannot_read(
    run: Run, product: Core, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A challenge that cannot be opened may be of this number; an invalid number is refused."""
    caller = Caller(app=product.policy.apps["web"], active=product.active(), request_id="r" * 16)
    product.send.send(caller, SendRequest(to=NUMBER))
    rotate(environment, monkeypatch, drop=True)
    code, out, _ = run("forget", NUMBER)
    assert code == 1
    assert out.endswith("1 challenges were sealed with a key that is not in OTP_NUMBER_KEYS\n")
    code, out, err = run("forget", "12")
    assert (code, out) == (1, "")
    assert err


def test_operators_forget_a_number_over_http(api: Api) -> None:
    """The number is in the body, never in a URL; an app's key is refused."""
    challenge_id = api.opened()
    api.core.replies.record_reply("main", Reply(channel="sms", sender=NUMBER, text="STOP"))
    body = {"to": "(202) 555-0100", "country": "US"}
    assert api.call("POST", "/ops/numbers/forget", body=body).status_code in {401, 403}
    assert api.status(challenge_id).status_code == 200
    answer = api.call("POST", "/ops/numbers/forget", key=OPS, body=body).json or {}
    assert (answer["removed"]["challenges"], answer["suppressed"], answer["unreadable"]) == (1, True, 0)
    assert api.status(challenge_id).status_code == 404
    answer = (
        api.call("POST", "/ops/numbers/forget", key=OPS, body=body | {"and_suppression": True}).json or {}
    )
    assert (answer["removed"]["suppressions"], answer["suppressed"]) == (1, False)
    assert api.call("POST", "/ops/numbers/forget", key=OPS, body={"to": "12"}).status_code == 422
