"""A step with a condition is taken if the condition is met, and skipped otherwise."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, repeat

import pytest

from otp_service.challenge.model import Status
from otp_service.upstream.port import Reply
from tests.support.fault_server import FaultServer, Received, http, http_json
from tests.support.journeys import Journeys, Upstream, account, four_channels, open_core, steps
from tests.support.numbers import crowd
from tests.support.valkey_server import ValkeyServer

NUMBER, OTHER = islice(crowd(), 2)


@pytest.fixture
def journeys(valkey: ValkeyServer) -> Iterator[Journeys]:
    """Give a core whose challenges all have the same number."""
    upstream = Upstream()
    with FaultServer() as server:
        server.respond(upstream)
        core = open_core(valkey, four_channels(account("main", server.url)))
        yield Journeys(core, valkey, upstream, numbers=repeat(NUMBER))
        core.close()


def channels(journeys: Journeys, conditional: str) -> list[str]:
    """Send a code over a channel that must be open, else by SMS; gives the channels that were used."""
    [first] = steps([conditional])
    challenge = journeys.rest(journeys.start(replace(first, condition="open"), *steps(["sms"])))
    assert challenge.last.status is Status.DELIVERED
    return [delivery.channel for delivery in challenge.deliveries]


@pytest.mark.parametrize("channel", ["whatsapp", "rcs"])
def test_a_step_for_open_channels_is_taken_once_the_person_wrote(journeys: Journeys, channel: str) -> None:
    """Before that it is skipped; any message of the person opens the channel."""
    assert channels(journeys, channel) == ["sms"]
    journeys.core.replies.record_reply("main", Reply(channel=channel, sender=NUMBER, text="hello"))
    assert channels(journeys, channel) == [channel]


@pytest.mark.parametrize(("channel", "sender"), [("sms", NUMBER), ("rcs", NUMBER), ("whatsapp", OTHER)])
def test_a_message_opens_one_channel_to_one_person(journeys: Journeys, channel: str, sender: str) -> None:
    """For another channel or another number the step stays closed."""
    journeys.core.replies.record_reply("main", Reply(channel=channel, sender=sender, text="hello"))
    assert channels(journeys, "whatsapp") == ["sms"]


def test_a_skipped_step_is_counted(journeys: Journeys) -> None:
    """Operators see how often a condition was not met."""
    assert channels(journeys, "whatsapp") == ["sms"]
    skips = journeys.core.metrics.registry.get_sample_value(
        "otp_skipped_steps_total", {"channel": "whatsapp", "why": "open"}
    )
    assert skips == 1


class Networks:
    """An upstream that also answers lookups of numbers, with `says`."""

    def __init__(self, upstream: Upstream) -> None:
        self.says: bytes = http_json({"status": "OK", "data": []})
        self.asked: list[str] = []
        self._upstream = upstream

    def __call__(self, request: Received) -> bytes:
        """Answer one request."""
        if request.path != "/api/v2/lookup/verify":
            return self._upstream(request)
        self.asked.append(request.fields["to"])
        return self.says


@pytest.fixture
def networks(valkey: ValkeyServer) -> Iterator[tuple[Networks, Journeys]]:
    """Give an upstream that answers lookups, and a core whose challenges all have the same number."""
    upstream = Upstream()
    answering = Networks(upstream)
    with FaultServer() as server:
        server.respond(answering)
        core = open_core(valkey, four_channels(account("main", server.url)))
        yield answering, Journeys(core, valkey, upstream, numbers=repeat(NUMBER))
        core.close()


def taken(journeys: Journeys) -> list[str]:
    """Send a code by SMS if the line is mobile, else by a call; gives the channels that were used."""
    first, then = steps(["sms", "voice"])
    challenge = journeys.rest(journeys.start(replace(first, condition="mobile"), then))
    assert challenge.last.status is Status.DELIVERED
    return [delivery.channel for delivery in challenge.deliveries]


MOBILE = {"status": "SUCCESS", "imsi": "40467XXXXXXXXXX", "mcc_mnc": "40467"}
FIXED = {"status": "SUCCESS"}


@pytest.mark.parametrize(
    ("row", "channel"), [(MOBILE, "sms"), (FIXED, "voice"), ({"status": "FAILED"}, "voice")]
)
def test_a_step_for_mobile_lines_is_taken_for_those(
    networks: tuple[Networks, Journeys], row: dict[str, str], channel: str
) -> None:
    """Each number is looked up once, as each lookup is paid for."""
    upstream, journeys = networks
    upstream.says = http_json({"status": "OK", "data": [row]})
    assert taken(journeys) == [channel]
    upstream.says = http_json({"status": "ERROR", "message": "nobody asks again"})
    assert taken(journeys) == [channel]
    assert upstream.asked == [NUMBER.removeprefix("+")]


def test_a_lookup_is_logged_with_the_network_of_a_ported_number(
    networks: tuple[Networks, Journeys], caplog: pytest.LogCaptureFixture
) -> None:
    """Which networks lose codes is then seen; the number and the subscriber are not in the log."""
    upstream, journeys = networks
    moved = {"ported": True, "ported_network": {"ported_network_name": "Jio"}}
    upstream.says = http_json({"status": "OK", "data": [MOBILE | moved]})
    with caplog.at_level("INFO", "otp"):
        assert taken(journeys) == ["sms"]
    (line,) = [record for record in caplog.records if record.message == "lookup.answered"]
    assert line.__dict__["fields"] == {"mobile": True, "network": "Jio", "ported": True}


@pytest.mark.parametrize("answer", [http(b"no"), http_json({"status": "ERROR", "message": "no"})])
def test_a_failed_lookup_does_not_stop_a_code(networks: tuple[Networks, Journeys], answer: bytes) -> None:
    """The step is taken, and the next challenge looks the number up again."""
    upstream, journeys = networks
    upstream.says = answer
    assert [taken(journeys), taken(journeys)] == [["sms"], ["sms"]]
    assert len(upstream.asked) == 2
