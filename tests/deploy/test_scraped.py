"""All alert rules and the whole dashboard against a real Prometheus that scrapes a running service.

The service does everything that leaves a metric, then faults are injected. Every rule is loaded as it is shipped, and
once more with one difference: alerts do not wait before they fire.
"""

import json
import os
import random
import re
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest
import requests
import yaml

from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.core import Core
from otp_service.delivery.pace_board import Share
from otp_service.sandbox.outcomes import ANY, Outcome, Selection
from tests.conftest import OPS
from tests.support.numbers import crowd
from tests.support.patience import PATIENCE, PATIENT_LIMITS, until
from tests.support.ports import HOST, free_port
from tests.support.prometheus import ALERTS, DASHBOARD, Query, alerts
from tests.support.prometheus_server import PrometheusServer, prometheus
from tests.support.told_journeys import AFTER, Person, reviews
from tests.support.told_service import Service, key_of, running
from tests.support.valkey_server import ValkeyServer

pytestmark = [pytest.mark.needs_prometheus, pytest.mark.slow]
FIRE = {
    *("OtpPumpingSuspected", "OtpGuardFindsPumping", "OtpFallbackStorm", "OtpBreakerOpen", "OtpBalanceLow"),
    *("OtpSendsShed", "OtpStoreErrors", "OtpStoreEvictsKeys", "OtpApiKeyEnds"),
    *("OtpEventBacklog", "OtpDeadlineLag", "OtpNoWorker", "OtpMetricsMissing"),
}
"""Alerts whose fault can be injected here; the others compare with what was before, or need a long queue of hashes."""
BOARD = json.loads(DASHBOARD.read_text(encoding="utf-8"))
PANELS = [Query(target["expr"]) for panel in BOARD["panels"] for target in panel.get("targets", ())]
RULES = [Query(rule["expr"]) for rule in alerts().values()]
MANY = 130


@dataclass
class Scraped:
    """A service, the Prometheus that scrapes it, and a process of the same deployment in this one."""

    service: Service
    store: ValkeyServer
    prometheus: PrometheusServer
    core: Core
    numbers: Iterator[str]
    fired: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)

    def send(self, count: int, app: str = "web", **fields: str) -> list[int]:
        """Ask for codes for people who do nothing more; gives the statuses of the answers."""
        key = key_of(app, "secret")
        bodies = [{"to": number, **fields} for number in islice(self.numbers, count)]
        with ThreadPoolExecutor(4) as pool:
            answers = pool.map(lambda body: self.service.call("POST", "/otp/send", key, body), bodies)
            return [answer.status_code for answer in answers]

    def expect(self, *names: str) -> None:
        """Wait until alerts fire; remember all that fired on the way."""

        def do() -> bool:
            for rule in self.prometheus.rules():
                if rule["health"] == "err":
                    self.failed[rule["name"]] = rule["lastError"]
            self.fired |= self.prometheus.firing()
            return self.fired >= set(names)

        until(do, pause=0.5, progress=lambda: len(self.fired), explain=lambda: self._seen(names))

    def _seen(self, names: Sequence[str]) -> str:
        """Say what fired, and what the parts of the missing alerts are."""
        texts = [alerts()[name]["expr"] for name in names if name not in self.fired]
        parts = [part for text in texts for part in re.findall(r"sum by [^\n]*?\]\)\)", text)]
        return f"only {self.fired} of {names}: {[(part, self.prometheus.query(part)) for part in parts]}"

    def wait_for(self, query: str) -> None:
        """Wait until a query finds something."""
        until(lambda: bool(self.prometheus.query(query)), pause=0.3, explain=lambda: f"nothing: {query}")


@contextmanager
def scraped(folder: Path) -> Iterator[Scraped]:
    """Run it all until the block ends."""
    hasty = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    for group in hasty["groups"]:
        group["name"] += " at once"
        for rule in group["rules"]:
            rule.pop("for", None)
    at_once = folder / "at_once.yaml"
    at_once.write_text(yaml.safe_dump(hasty), encoding="utf-8")
    port = free_port()
    numbers = (number for number in crowd() if number[2:5] > "300")
    with ExitStack() as stack:
        store = stack.enter_context(closing(ValkeyServer(options={"appendonly": "no"})))
        service = stack.enter_context(running(store, folder, OTP_WORKER_METRICS=f"{HOST}:{port}"))
        targets = {"otp-api": service.url.removeprefix("http://"), "otp-worker": f"{HOST}:{port}"}
        server = stack.enter_context(prometheus(targets, [ALERTS, at_once], credentials=OPS))
        settings = configure(service.environment)
        core = Core(settings, threads=2, hash_slots=1, role="test", limits=PATIENT_LIMITS)
        stack.callback(core.close)
        until(server.scrapes_all, pause=0.3)
        yield Scraped(service, store, server, core, numbers)


def live(one: Scraped) -> None:
    """Let people do everything that leaves a metric, and the upstream say everything."""
    service, dice = one.service, random.Random(7)
    service.apply(ttl="10m", wait="250s")
    own = (number for number in crowd() if number[2:5] <= "300")
    for place, act in enumerate(AFTER):
        person = Person(service, next(own), next(own), address=f"198.51.100.{place}")
        if act is reviews:
            person.review_code = service.add_review(person.number)
        act(person, dice)
    answer = requests.post(
        f"{service.upstream}/inbound",
        json={"from": next(own), "text": "STOP", "channel": "sms"},
        timeout=PATIENCE,
    )
    assert answer.ok, answer.text
    one.send(3, "pumped")
    one.wait_for('otp_guard_findings_total{rule="prefix"}')


def crowd_in(one: Scraped) -> None:
    """Many are pumped, and refused by the upstream, and no event is taken."""
    service = one.service
    for _ in range(50 * MANY):
        service.events.statuses.put(500)
    one.send(30, "pumped")
    one.send(MANY, "watched", channel="voice")
    service.sandbox.outcomes.force(Selection(ANY, "sms", "main"), Outcome.REFUSED_RECIPIENT)
    one.send(40)


def end(one: Scraped) -> None:
    """The account refuses, a key ends soon, the store may drop keys, is away for a while, and all have to wait."""
    service, client = one.service, one.store.client()
    service.sandbox.outcomes.force(Selection(ANY, "sms", "main"), Outcome.UNAVAILABLE)
    service.sandbox.outcomes.force(Selection(ANY, "sms", "spare"), Outcome.UNAUTHENTICATED)
    for _ in range(5):  # workers hung: until a process of the API sees them again, it refuses
        until(lambda: one.send(1, purpose="twice") == [requests.codes.accepted])
    one.core.keyring.issue("secret", "web", by="anna", lifetime=86_400)
    one.expect("OtpBreakerOpen", "OtpApiKeyEnds", "OtpBalanceLow")
    client.config_set("maxmemory-policy", "allkeys-lru")
    one.expect("OtpStoreEvictsKeys")
    client.config_set("maxmemory-policy", "noeviction")
    for _ in range(30):
        one.core.store.pace_board.write("another", Share(0, 10_000, 1.0))
        one.send(2)
        time.sleep(0.2)  # the board is read once a second
    one.expect("OtpSendsShed")
    one.store.freeze()
    one.wait_for('otp_store_call_seconds_count{script="error"}')
    try:
        one.expect("OtpStoreErrors")
    finally:
        one.store.thaw()


def test_every_rule_and_every_panel_in_a_real_prometheus(tmp_path: Path) -> None:
    """All series and labels that they name are there, nothing is an error, and what is injected fires."""
    with scraped(tmp_path) as one:
        live(one)
        crowd_in(one)
        one.expect("OtpPumpingSuspected", "OtpGuardFindsPumping", "OtpFallbackStorm")
        with hanging(one.service.processes[1].pid):
            one.send(2)
            one.expect("OtpEventBacklog", "OtpDeadlineLag", "OtpNoWorker")
        end(one)
        # A scrape that took too long takes all series of its target away until the next one.
        until(lambda: not lacking(one), pause=1, explain=lambda: f"{lacking(one)}")
        for panel in PANELS:
            one.prometheus.query(filled_in(panel.text))
        api = one.service.processes[0]
        api.send_signal(signal.SIGTERM)
        api.wait(PATIENCE)
        one.expect("OtpMetricsMissing")
        names = [rule["name"] for rule in one.prometheus.rules()]
        assert sorted(names) == sorted([*alerts(), *alerts()])
        assert one.failed == {}
        assert one.fired >= FIRE


@contextmanager
def hanging(parent: int) -> Iterator[None]:
    """Stop a process and its children until the block ends."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="utf-8").split()
    pids = [parent, *map(int, children)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def lacking(one: Scraped) -> list[str]:
    """List what rules and panels name and was not scraped."""
    return [missing for query in (*RULES, *PANELS) for missing in absent(one.prometheus, query)]


def absent(server: PrometheusServer, query: Query) -> list[str]:
    """List the series and labels of a query that were not scraped."""
    found = {name: server.labels_of(name) for name in query.series}
    missing = [name for name, series in found.items() if not series]
    for name, labels in query.selected:
        if name in found and not any(labels <= series for series in found[name]):
            missing.append(f"{name}{sorted(labels)}")
    known = frozenset[str]().union(*(labels for series in found.values() for labels in series))
    return missing + sorted(query.grouped - known) if found else missing


def filled_in(text: str) -> str:
    """Give a panel's query the values that Grafana would."""
    return text.replace("$__rate_interval", "1m").replace("$app", ".*")
