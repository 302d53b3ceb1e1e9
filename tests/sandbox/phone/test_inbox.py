"""The sandbox's inbox, as programs read it."""

import logging
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from otp_service.sandbox import SandboxConfig, create_sandbox
from otp_service.sandbox.mailbox import Mailbox, Message
from otp_service.sandbox.phone.pages import MOST_VIEWERS
from tests.support.patience import PATIENCE
from tests.support.sandbox_server import TOKEN, Receiver, Running, Start, usual

pytest_plugins = ("tests.support.sandbox_fixtures",)

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def message(number: int, to: str = "12025550100") -> Message:
    """Return a message numbered in its id."""
    return Message(
        id=f"g:{number}", account="1", group_id="g", channel="sms", to=to, sender="S", text="t", code=None, service="T",
        units=1, length=1, charges=1, custom="", webhook_id=None, submitted_at=0.0, status="AWAITING-DLR",
    )  # fmt: skip


def test_a_row_has_the_documented_fields(start: Start) -> None:
    """In E.164 and UTC."""
    sandbox = start(usual(clock=lambda: 1_700_000_000.5))
    sent = sandbox.send(message="482913 is your code").json()["data"][0]
    sandbox.until(lambda: sandbox.inbox()[0]["status"] == "DELIVRD")
    assert sandbox.inbox() == [
        {
            "id": sent["id"],
            "account": "1",
            "channel": "sms",
            "to": "+12025550100",
            "from": "TXTSMS",
            "text": "482913 is your code",
            "code": "482913",
            "at": "2023-11-14T22:13:20.500000Z",
            "status": "DELIVRD",
            "ttl": None,
        }
    ]


@pytest.mark.parametrize("to", ["%2B12025550101", "+12025550101", "12025550101", "%2012025550101%20"])
def test_the_inbox_of_a_number_is_found_however_it_is_written(sandbox: Running, to: str) -> None:
    """With plus, without, and with a plus that became a space."""
    for number in ("12025550100", "12025550101", "12025550102"):
        sandbox.send(to=number)
    rows = sandbox.client.get(f"{sandbox.url}/inbox?to={to}", timeout=PATIENCE).json()
    assert [row["to"] for row in rows] == ["+12025550101"]


def test_nothing_matches_what_is_no_number(sandbox: Running) -> None:
    """And an empty filter is none."""
    sandbox.send()
    assert sandbox.inbox(to="nobody") == []
    assert len(sandbox.inbox(to="")) == 1


@pytest.mark.parametrize(
    ("limit", "count"), [("2", 2), ("0", 1), ("100000", 120), ("9" * 5000, 120), ("x", 100), ("", 100)]
)
def test_the_newest_come_first_and_not_too_many(sandbox: Running, limit: str, count: int) -> None:
    """The default is 100, the maximum 1000."""
    numbers = [str(12125550000 + number) for number in range(120)]
    sandbox.send(to=",".join(numbers))
    rows = sandbox.inbox(limit=limit)
    assert [row["to"] for row in rows] == [f"+{number}" for number in reversed(numbers)][:count]


def test_the_inbox_is_cleared(sandbox: Running) -> None:
    """All of it."""
    sandbox.send()
    assert requests.delete(f"{sandbox.url}/inbox", timeout=PATIENCE).status_code == 204
    assert sandbox.inbox() == []
    assert sandbox.inbox(to="12025550100") == []


def test_a_message_that_was_cleared_is_still_reported(start: Start, receiver: Receiver) -> None:
    """The report belongs to the send, not to the inbox."""
    sandbox = start(usual(report_url=receiver.url, report_delay=0.05))
    sandbox.send(custom="cleared")
    requests.delete(f"{sandbox.url}/inbox", timeout=PATIENCE)
    assert receiver.next().body["custom"] == "cleared"


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(1, 10))
def test_the_mailbox_keeps_the_newest_only(numbers: list[str], size: int) -> None:
    """A message leaves all indexes together."""
    mailbox = Mailbox(size)
    sent = [message(number, to) for number, to in enumerate(numbers)]
    for one in sent:
        mailbox.add(one)
    newest = sent[::-1][:size]
    assert mailbox.newest(100) == newest
    for to in "abc":
        assert mailbox.newest(100, to) == [one for one in newest if one.to == to]
    for one in sent:
        assert mailbox.message(one.id) == (one if one in newest else None)


def balance_of(sandbox: Running) -> list[dict[str, object]]:
    """Return the balance rows of the account."""
    return sandbox.sandbox.customers[TOKEN].account.rows()


def test_many_threads_lose_nothing(sandbox: Running) -> None:
    """200 parallel sends give 200 messages with 200 ids and 200 charges."""
    before = balance_of(sandbox)[0]["credits"]
    start_line = threading.Barrier(20)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    fields = {"to": "12025550100", "message": "hello", "sender": "S", "service": "T"}

    def send_ten() -> None:
        with requests.Session() as client:
            start_line.wait()
            for _ in range(10):
                client.post(f"{sandbox.url}/api/v2/sms/send", fields, headers=headers, timeout=PATIENCE)

    threads = [threading.Thread(target=send_ten) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = sandbox.inbox(limit=1000)
    assert len({row["id"] for row in rows}) == 200
    assert balance_of(sandbox)[0]["credits"] == before - 200  # type: ignore[operator]  # a number


def events(answer: requests.Response) -> Iterator[str]:
    """Yield the names of a feed's events."""
    for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
        if line.startswith("event:"):
            yield line.removeprefix("event:").strip()


def feed_of(sandbox: Running) -> requests.Response:
    """Open the feed."""
    return requests.get(f"{sandbox.url}/inbox/feed", stream=True, timeout=PATIENCE)


def test_the_feed_tells_of_each_change(sandbox: Running) -> None:
    """At once on opening, and then when a message comes; it ends when the sandbox closes."""
    with closing(feed_of(sandbox)) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        names = events(answer)
        assert next(names) == "news"
        sandbox.send()
        assert next(names) == "news"
        sandbox.sandbox.close()
        assert set(names) <= {"news"}


def test_open_pages_do_not_take_all_threads(sandbox: Running) -> None:
    """One page too many gets a 503; a page that closes makes room."""
    feeds = [feed_of(sandbox) for _ in range(MOST_VIEWERS)]
    with closing(feed_of(sandbox)) as one_too_many:
        assert (one_too_many.status_code, one_too_many.headers["Retry-After"]) == (503, "5")
    sandbox.sandbox.close()
    for feed in feeds:
        assert list(events(feed))[:1] == ["news"]
        feed.close()
    with closing(feed_of(sandbox)) as room:
        assert room.status_code == 200


@pytest.mark.parametrize("path", ["/", "/inbox"])
def test_a_browser_gets_the_page(sandbox: Running, path: str) -> None:
    """With a policy that lets it load its own files only."""
    answer = requests.get(f"{sandbox.url}{path}", headers=BROWSER, timeout=PATIENCE)
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<style|<script(?![^>]* src=)| style=| on[a-z]+=|https?://", answer.text)
    for asset in re.findall(r'(?:href|src)="(/static/[^"]+)"', answer.text):
        assert requests.get(f"{sandbox.url}{asset}", timeout=PATIENCE).status_code == 200


def test_a_browser_that_asks_for_outcomes_is_led_to_their_place(sandbox: Running) -> None:
    """A section of the page, where each outcome is explained."""
    answer = requests.get(f"{sandbox.url}/outcomes", headers=BROWSER, timeout=PATIENCE)
    assert answer.url == f"{sandbox.url}/#outcomes"
    assert "timeout_after_accept" in answer.text


def test_the_sandbox_is_healthy(sandbox: Running) -> None:
    """Without a token."""
    assert requests.get(f"{sandbox.url}/healthz", timeout=PATIENCE).json() == {"status": "ok"}


def test_making_a_sandbox_starts_no_thread() -> None:
    """Threads start with the first message and end with the sandbox."""
    before = set(threading.enumerate())
    app = create_sandbox(SandboxConfig(frozenset({TOKEN}), report_delay=3600))
    assert set(threading.enumerate()) <= before  # one of an earlier test may end meanwhile
    query = {"access_token": TOKEN, "to": "12025550100", "message": "m", "sender": "S", "service": "T"}
    app.test_client().get("/api/v2/sms/send", query_string=query)
    assert len(set(threading.enumerate()) - before) == 1
    app.extensions["sandbox"].close()
    assert set(threading.enumerate()) <= before


class Memory(logging.Handler):
    """Collects log lines for a test that waits for them."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self.lines.put(f"{record.getMessage()} {record.__dict__}")


def test_neither_code_nor_number_nor_token_is_logged(start: Start) -> None:
    """Also where reports fail."""
    memory, log = Memory(), logging.getLogger("otp_service.sandbox")
    log.addHandler(memory)
    sandbox = start(usual(report_url="http://127.0.0.1:1/", report_retries=0, report_secret="whsec"))
    for to in ("12025550120", "12025550165", "12025550100"):
        sandbox.send(to=to, message="code 482913")
    line = memory.lines.get(timeout=PATIENCE)
    log.removeHandler(memory)
    assert "dropped" in line
    assert not re.search(rf"482913|2025550|{TOKEN}|whsec", line)
