"""A CAPTCHA vendor that does not answer takes only a share of the threads from its app."""

import socket

from otp_service.guard.admission import CAPTCHA_SHARE
from otp_service.guard.captcha import RETRY_AFTER
from tests.conftest import POLICY, PUBLISHABLE
from tests.support.http_api import NOBODY, Api, close, make_api
from tests.support.http_calls import members, problem_of
from tests.support.ports import HOST
from tests.support.spine import together
from tests.support.valkey_server import ValkeyServer


def send(api: Api, last: int, **more: str) -> tuple[int, str, object]:
    """Send from one address. Return what a page learns."""
    answer = api.send(f"+1415555010{last}", key=PUBLISHABLE, **more)
    if answer.status_code == 202:
        return 202, "", None
    return *problem_of(answer), members(answer).get("retry_after")


def test_one_app_has_its_share_of_calls_under_way(valkey: ValkeyServer) -> None:
    """The calls beyond it are told at once to come again in a second; the others when the vendor's time is over."""
    with socket.create_server((HOST, 0), backlog=64) as silent:
        text = POLICY.replace("UPSTREAM/", f"{NOBODY}/")
        url = f"http://{HOST}:{silent.getsockname()[1]}/siteverify"
        text += f'[guard.human_check]\nkind = "siteverify"\nurl = "{url}"\n'
        api = make_api(valkey, text=text, captcha_secret="unused")
        asked = ""
        for last in range(9):
            asked = send(api, last)[1]
        assert asked == "human_check_required"
        answers = together(CAPTCHA_SHARE + 3, lambda n: send(api, 9, human_proof=f"token-{n}"))
        unavailable = (503, "human_check_unavailable")
        slow, refused = (*unavailable, RETRY_AFTER), (*unavailable, 1)
        assert [answers.count(kind) for kind in (slow, refused)] == [CAPTCHA_SHARE, 3], answers
        close(api)
