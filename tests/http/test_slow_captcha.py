"""A CAPTCHA vendor that does not answer takes only a share of the threads from its app."""

import threading
from contextlib import closing

from otp_service.guard.admission import CAPTCHA_SHARE
from otp_service.guard.captcha import RETRY_AFTER, SiteVerify
from tests.conftest import POLICY, PUBLISHABLE
from tests.support.fault_server import FaultServer, reset, wait_for
from tests.support.http_api import NOBODY, Api, close, make_api
from tests.support.http_calls import members, problem_of
from tests.support.patience import PATIENCE
from tests.support.spine import together
from tests.support.valkey_server import ValkeyServer

BEYOND = 3
"""Calls beyond the share."""


def send(api: Api, last: int, **more: str) -> tuple[int, str, object]:
    """Send from one address. Return what a page learns."""
    answer = api.send(f"+1415555010{last}", key=PUBLISHABLE, **more)
    if answer.status_code == 202:
        return 202, "", None
    return *problem_of(answer), members(answer).get("retry_after")


def patient(vendor: FaultServer) -> SiteVerify:
    """Make a client of a vendor with time to spare."""
    url = f"{vendor.url}siteverify"
    return SiteVerify(url, "unused", connect_limit=PATIENCE, total_limit=2 * PATIENCE)


def asking(valkey: ValkeyServer, vendor: FaultServer, client: SiteVerify) -> Api:
    """Build an application that asks a vendor by this client, which waits for as long as a test does."""
    text = POLICY.replace("UPSTREAM/", f"{NOBODY}/")
    text += f'[guard.human_check]\nkind = "siteverify"\nurl = "{vendor.url}siteverify"\n'
    api = make_api(valkey, text=text, captcha_secret="unused")
    api.core.admission._captcha = lambda _url: client  # noqa: SLF001 - it is made with its core
    return api


def test_one_app_has_its_share_of_calls_under_way(valkey: ValkeyServer) -> None:
    """The calls beyond it are told to come again in a second while the others still wait for the vendor."""
    enough, refused_at_once = threading.Event(), list[int]()
    unavailable = (503, "human_check_unavailable")
    slow, refused = (*unavailable, RETRY_AFTER), (*unavailable, 1)

    def prove(number: int) -> tuple[int, str, object]:
        answer = send(api, 9, human_proof=f"token-{number}")
        if answer == refused:
            refused_at_once.append(number)
            if len(refused_at_once) == BEYOND:
                enough.set()
        return answer

    with FaultServer() as vendor, closing(patient(vendor)) as client:
        vendor.play(wait_for(enough), reset)
        api = asking(valkey, vendor, client)
        asked = ""
        for last in range(9):
            asked = send(api, last)[1]
        assert asked == "human_check_required"
        answers = together(CAPTCHA_SHARE + BEYOND, prove)
        assert [answers.count(kind) for kind in (slow, refused)] == [CAPTCHA_SHARE, BEYOND], answers
        close(api)
