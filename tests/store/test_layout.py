"""The mark of the layout of records."""

import secrets
from collections.abc import Iterator

import pytest

from otp_service.errors import StoreUnavailable
from otp_service.store.facts import Facts
from otp_service.store.layout import LAYOUT, LayoutMark
from otp_service.store.scripts import Scripts
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import scripts_at


@pytest.fixture
def scripts(valkey: ValkeyServer) -> Iterator[Scripts]:
    """The product's own client."""
    made = scripts_at(valkey.url, connections=2)
    yield made
    made.close()


def marked(scripts: Scripts) -> tuple[LayoutMark, Facts, str]:
    """Guard a client by the mark of a new prefix; gives its key, too."""
    prefix = f"t{secrets.token_hex(6)}"
    mark = LayoutMark(scripts, prefix=prefix)
    scripts.admit = mark.admit
    return mark, Facts(scripts, prefix=prefix), f"{prefix}:layout"


def test_a_new_store_is_marked_by_the_first_process_and_by_no_command(
    scripts: Scripts, valkey: ValkeyServer
) -> None:
    """For good, and as the first comer said; a command reads it."""
    mark, facts, key = marked(scripts)
    client = valkey.client()
    assert mark.states() == {}
    assert facts.get("a") is None
    assert (mark.states(), client.get(key)) == ({"layout": "ok"}, None)
    mark.refresh()
    assert (client.get(key), client.ttl(key)) == (str(LAYOUT), -1)
    client.set(key, LAYOUT + 1)
    mark.refresh()
    assert client.get(key) == str(LAYOUT + 1)


@pytest.mark.parametrize("newer", [str(LAYOUT + 1), "2.1", "what comes later"])
def test_nothing_is_read_or_written_in_a_store_of_another_layout(
    scripts: Scripts, valkey: ValkeyServer, newer: str
) -> None:
    """Not even by the first call; the error says why, and when to try again."""
    mark, facts, key = marked(scripts)
    valkey.client().set(key, newer)
    for act in (
        lambda: facts.put("a", "b", 60),
        lambda: facts.get("a"),
        lambda: list(scripts.walk("*", "all")),
    ):
        with pytest.raises(StoreUnavailable, match="newer version") as caught:
            act()
        assert caught.value.retry_after
    assert mark.states() == {"layout": f"{newer}, newer than {LAYOUT}"}
    valkey.client().delete(key)
    with pytest.raises(StoreUnavailable):
        facts.get("a")
    mark.refresh()
    assert facts.get("a") is None


def test_the_alarm_is_raised_once(
    scripts: Scripts, valkey: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Not each second."""
    mark, _, key = marked(scripts)
    valkey.client().set(key, LAYOUT + 1)
    for _ in range(3):
        mark.refresh()
    assert [one.getMessage() for one in caplog.records] == ["store.layout_newer"]
