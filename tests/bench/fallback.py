"""How soon a plan moves on, and an account is passed over."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from otp_service.access.api_keys import digest
from otp_service.challenge.model import Challenge, Status
from otp_service.delivery.worker import Worker
from otp_service.policy import StepRule
from otp_service.upstream.port import Stage
from tests.bench.figures import Figure
from tests.delivery.test_upstreams_fail import BOTH, black_hole
from tests.support.fault_server import FaultServer, Received
from tests.support.journeys import CHANNEL_OF, Journeys, Upstream, account, four_channels, open_core, steps
from tests.support.patience import until
from tests.support.spine import seen, working
from tests.support.valkey_server import ValkeyServer
from tests.system.test_receipts_load import SECRET

CONNECT_LIMIT_MS = 200
WAIT = 1
"""Seconds of a step's wait here."""


@dataclass
class Timed(Upstream):
    """An upstream that remembers when the last message came over each channel."""

    at: dict[str, float] = field(default_factory=dict)

    def __call__(self, request: Received) -> bytes:
        """Answer, and look at the clock first."""
        self.at[CHANNEL_OF[request.path]] = time.perf_counter()
        return super().__call__(request)


@contextmanager
def _running(profile: str) -> Iterator[tuple[Journeys, Timed]]:
    """Run a worker over a main account that takes no connections on rcs, and a spare that is well."""
    server = ValkeyServer(options={"appendfsync": "everysec"})
    upstream = Timed(ends=dict.fromkeys(("sms", "voice", "rcs", "whatsapp"), "silence"))
    receipts = f'pull = false\nreceipts = {{ secrets = ["{digest(SECRET)}"] }}'
    with FaultServer() as well, black_hole() as dead:
        well.respond(upstream)
        text = four_channels(
            account("main", well.url, receipts),
            account("spare", dead, connect_timeout=CONNECT_LIMIT_MS / 1000),
        )
        core = open_core(server, text, hash_profile=profile)
        worker = Worker(
            queue=core.store.due,
            membership=core.store.membership(core.store.due),
            scripts=core.scripts,
            handle=core.dispatcher.dispatch,
            metrics=core.metrics,
            name="bench",
            at_once=8,
        )
        with working(worker):
            yield Journeys(core, server, upstream), upstream
        core.close()
    server.close()


def _accepted(journeys: Journeys, id_: str, channel: str) -> Challenge:
    """Wait until the newest message is the channel's and was accepted."""

    def holds() -> bool:
        last = seen(journeys.core.store, id_).last
        return last.channel == channel and last.status is Status.ACCEPTED

    until(holds)
    return seen(journeys.core.store, id_)


def _after_receipt(journeys: Journeys, upstream: Timed) -> float:
    id_ = journeys.start(*steps(["sms", "voice"]))
    first = _accepted(journeys, id_, "sms").last
    time.sleep(0.05)  # idle
    started = time.perf_counter()
    journeys.push("sms", first.upstream_id, Stage.FAILED)
    _accepted(journeys, id_, "voice")
    return (upstream.at["voice"] - started) * 1000


def _after_wait(journeys: Journeys, upstream: Timed) -> float:
    rules = [StepRule(channel=channel, upstreams=("main",), wait=WAIT) for channel in ("sms", "voice")]
    id_ = journeys.start(*rules)
    _accepted(journeys, id_, "voice")
    return (upstream.at["voice"] - upstream.at["sms"] - WAIT) * 1000


def _past_dead_account(journeys: Journeys, upstream: Timed) -> float:
    journeys.mend_all(*BOTH)
    started = time.perf_counter()
    id_ = journeys.start(StepRule(channel="rcs", upstreams=("spare", "main"), wait=30))
    _accepted(journeys, id_, "rcs")
    return (upstream.at["rcs"] - started) * 1000


def falling_back(rounds: int, profile: str) -> Iterator[Figure]:
    """How soon the next message is at the upstream, idle."""
    with _running(profile) as (journeys, upstream):
        for name, act, beyond in (
            ("failing receipt -> next channel", _after_receipt, 0),
            ("end of a wait -> next channel", _after_wait, 0),
            ("dead account -> next account", _past_dead_account, CONNECT_LIMIT_MS),
        ):
            took = [act(journeys, upstream) - beyond for _ in range(rounds)]
            more = f", besides the connect limit of {beyond} ms" if beyond else ""
            yield Figure(name, statistics.median(took), "ms", f"at most {max(took):.1f}{more}")
