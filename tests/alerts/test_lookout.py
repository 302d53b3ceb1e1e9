"""What is found to need a person, on a real store: each state alone, as the console and the endpoint get it."""

import re
from collections.abc import Iterator

import pytest

from otp_service.alerts.alert import Alert
from otp_service.alerts.conversion import HOUR, LEAST
from otp_service.alerts.lookout import LATE, SILENT
from otp_service.bootstrap.core import Core
from otp_service.delivery.low_balances import LowBalances
from otp_service.delivery.pace_board import Share
from otp_service.history.note import Note, What
from otp_service.ops.scope import EVERYTHING, Scope
from otp_service.upstream.port import Balance
from tests.conftest import OPS
from tests.support.console_pages import console_of
from tests.support.http_api import GOOD, Api, close, make_api
from tests.support.valkey_server import ValkeyServer

AHEAD = 30_000
"""Milliseconds by which a test goes back, so that what is due now is not late while it looks."""
POLICY = GOOD.replace("total_timeout", "low_balance = 100\ntotal_timeout")
SENT = Note(what=What.SENT, at=1, app="web", country="IN", channel="sms", account="main", place=0)
REPORTED = Note(what=What.REPORTED, at=1, channel="sms", account="main", result="delivered")
VERIFIED = Note(
    what=What.ENDED, at=1, app="web", country="IN", channel="sms", account="main", result="verified"
)


@pytest.fixture
def api(valkey: ValkeyServer) -> Iterator[Api]:
    """Give an application at 40 minutes past an hour, with a worker that is alive and nothing that needs anyone."""
    made = make_api(valkey, text=POLICY)
    core = made.core
    core.scripts.offset += (40 * HOUR // 60 - core.store.facts.time()) % HOUR
    alive(core)
    yield made
    close(made)


def alive(core: Core) -> None:
    """Let a worker beat."""
    core.store.membership(core.store.due).beat("w", 3_600)


def found_by(api: Api, scope: Scope = EVERYTHING) -> list[Alert]:
    """Give what needs a person."""
    return api.core.lookout.list_alerts(api.core.active(), scope=scope)


def only(api: Api) -> Alert:
    """Give the one state that needs a person. The first page of the console says it, too."""
    (found,) = found_by(api)
    page = console_of(api, OPS).answers[-1].get_data(as_text=True)
    assert timeless(found.text) in timeless(page.replace("&#39;", "'"))
    assert "1 problem" in page
    return found


def timeless(text: str) -> str:
    """Leave out numbers: a second may pass between two looks at what counts seconds."""
    return re.sub(r"[0-9]+", "N", text)


def days(core: Core, *, before: int, now: int, sent: int = 100) -> None:
    """Note messages of this hour yesterday and today, of which so many were verified."""
    today = core.store.facts.time()
    for at, verified in ((today - 24 * HOUR, before), (today, now)):
        core.counters.take([moved(SENT, at)] * sent + [moved(VERIFIED, at)] * verified)


def moved(note: Note, at: int) -> Note:
    """Give the same note of another time."""
    return Note(
        what=note.what,
        at=at,
        app=note.app,
        country=note.country,
        channel=note.channel,
        account=note.account,
        place=0,
        result=note.result,
    )


def test_where_all_is_well_nothing_is_said(api: Api) -> None:
    """The page says so in words."""
    assert found_by(api) == []
    assert "all is well" in console_of(api, OPS).answers[-1].get_data(as_text=True)


def test_workers_that_are_gone(api: Api) -> None:
    """No beat for three seconds."""
    api.core.store.membership(api.core.store.due).leave("w")
    assert (only(api).kind, only(api).severity) == ("workers_gone", "critical")


def test_an_open_breaker(api: Api) -> None:
    """By account and channel."""
    api.core.breakers.record_fault("main", "sms", 600, 1)
    found = only(api)
    assert (found.kind, found.subject, found.page) == ("breaker_open", "main/sms", "upstreams")
    assert timeless(found.text) == "main, SMS: open for N s. Other accounts and steps are used meanwhile."


def test_reports_that_stopped(api: Api) -> None:
    """Messages leave, and none is reported any more; a moment without reports is none."""
    silences = api.core.silences
    silences.take([REPORTED])
    silences.take([SENT] * LEAST)
    assert found_by(api) == []
    api.core.scripts.offset += SILENT
    found = only(api)
    assert (found.kind, found.subject) == ("reports_stopped", "main/sms")
    assert timeless(found.text) == "main, SMS: no report for N s, while N messages left."
    assert f" {LEAST} messages" in found.text
    silences.take([REPORTED])
    assert found_by(api) == []
    silences.take([SENT] * (LEAST - 1))
    api.core.scripts.offset += SILENT
    assert found_by(api) == []


def test_deliveries_that_are_late(api: Api) -> None:
    """The worker beats, but does nothing."""
    api.opened()
    api.core.scripts.offset -= AHEAD  # a slow machine may take longer than LATE to look
    assert found_by(api) == []
    api.core.scripts.offset += AHEAD + LATE + 1_000
    found = only(api)
    assert (found.kind, found.page) == ("deliveries_late", "find")
    assert found.text.endswith("late; 1 challenge is open.")


@pytest.mark.parametrize(("rate", "said"), [(10.0, "20 s"), (None, "1 h")])
def test_sends_that_wait_for_hashes(api: Api, rate: float | None, said: str) -> None:
    """How long, as far as it can be told."""
    api.core.store.pace_board.write("w", Share(0, 100, 10.0))
    api.core.send_wait.refresh()
    if rate is None:
        api.core.store.pace_board.write("w", Share(0, 100, 0.0))
        api.core.send_wait.refresh()
    found = only(api)
    assert found.kind == "hashing_queue"
    assert f"about {said} " in found.text


def test_a_low_balance(api: Api) -> None:
    """As a worker read it last; the policy says what is low. A higher one ends it."""
    lows = LowBalances(api.core.store.facts)
    lows.write("main", [Balance(service="T", name="Transactional", credits=99.4, postpaid=False)])
    found = only(api)
    assert (found.kind, found.subject) == ("balance_low", "main/Transactional")
    assert found.text == "main, Transactional: 99 left; low is below 100."
    lows.write("main", [])
    assert found_by(api) == []


def test_conversion_that_fell(api: Api) -> None:
    """In one country, against the same hour yesterday."""
    days(api.core, before=80, now=30)
    found = only(api)
    assert (found.kind, found.subject) == ("conversion_fell", "sms/IN")
    assert found.text == "SMS to IN: 30 % verified, same hour yesterday 80 % (100 sent)"


def test_what_the_guard_blocks(api: Api) -> None:
    """By rule, as a warning, after all that is critical; no number is in it."""
    api.cancel(api.opened())  # or it would be late soon, too
    assert [api.send().status_code for _ in range(3)] == [429] * 3
    found = only(api)
    assert (found.kind, found.subject, found.severity) == ("refused_by", "cooldown", "warning")
    assert found.text == "1 subject is blocked by this rule; 3 sends were refused."
    api.core.breakers.record_fault("main", "sms", 600, 1)
    assert [one.kind for one in found_by(api)] == ["breaker_open", "refused_by"]


def test_within_a_scope_only_what_its_apps_say(api: Api) -> None:
    """Not what belongs to all."""
    api.core.breakers.record_fault("main", "sms", 600, 1)
    days(api.core, before=80, now=30)
    assert [one.kind for one in found_by(api, scope=Scope(frozenset({"web"})))] == ["conversion_fell"]
    assert found_by(api, scope=Scope(frozenset({"other"}))) == []
