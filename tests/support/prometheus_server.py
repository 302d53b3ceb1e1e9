"""A real Prometheus on loopback that scrapes a service and evaluates rules every three seconds."""

import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.support.patience import PATIENCE, until
from tests.support.ports import HOST, free_port

PROGRAM = "/usr/bin/prometheus"
EVERY = "3s"
"""Seconds between two scrapes, and that one may take: a busy machine needs more than one for all processes."""


class PrometheusServer:
    """A running Prometheus, and its HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(self, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON
        """Return the data of an answer; an answer that is an error fails."""
        answer = self._session.get(f"{self.url}/api/v1/{path}", params=query, timeout=PATIENCE)
        assert answer.ok, answer.text
        return answer.json()["data"]

    def query(self, text: str) -> list[dict[str, Any]]:
        """Evaluate a query now; gives its series."""
        found: list[dict[str, Any]] = self.ask("query", query=text)["result"]
        return found

    def labels_of(self, name: str) -> list[frozenset[str]]:
        """Return the labels of each series of a metric."""
        return [frozenset(one["metric"]) - {"__name__"} for one in self.query(name)]

    def rules(self) -> list[dict[str, Any]]:
        """Return each rule that is loaded, with its state and health."""
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> set[str]:
        """Name the alerts that fire."""
        return {rule["name"] for rule in self.rules() if rule["state"] == "firing"}

    def scrapes_all(self) -> bool:
        """Say whether each target was scraped without an error."""
        targets = self.ask("targets")["activeTargets"]
        return bool(targets) and all(one["health"] == "up" for one in targets)


@contextmanager
def prometheus(
    targets: Mapping[str, str], rules: Sequence[Path], *, credentials: str
) -> Iterator[PrometheusServer]:
    """Run one until the block ends. `targets` are host and port by job; each gets the credentials."""
    jobs = [
        {
            "job_name": name,
            "authorization": {"credentials": credentials},
            "static_configs": [{"targets": [target]}],
        }
        for name, target in targets.items()
    ]
    often = {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY}
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="otp-prometheus-") as folder:
        config = Path(folder, "prometheus.yaml")
        config.write_text(
            yaml.safe_dump({"global": often, "rule_files": [*map(str, rules)], "scrape_configs": jobs}),
            encoding="utf-8",
        )
        options = {
            "config.file": config,
            "storage.tsdb.path": Path(folder, "data"),
            "web.listen-address": f"{HOST}:{port}",
            "log.level": "error",
        }
        log = Path(folder, "log")
        with log.open("wb") as output:
            words = [f"--{name}={value}" for name, value in options.items()]
            process = subprocess.Popen([PROGRAM, *words], stdout=output, stderr=subprocess.STDOUT)
        try:
            made = PrometheusServer(f"http://{HOST}:{port}")
            until(lambda: _is_ready(made, process, log), pause=0.1)
            yield made
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _is_ready(made: PrometheusServer, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text(encoding="utf-8")
    try:
        return requests.get(f"{made.url}/-/ready", timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False
