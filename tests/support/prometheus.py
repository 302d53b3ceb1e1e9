"""What PromQL asks for, and what the code exports: metrics with their labels, as Prometheus names them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.metrics import MetricWrapperBase

from otp_service.telemetry.metrics import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
ALERT_TESTS = DEPLOY / "prometheus" / "alerts.test.yaml"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"
OF_THE_SCRAPE = frozenset({"job", "instance"})
"""Labels that Prometheus adds to each series."""
_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
}


def exported() -> dict[str, frozenset[str]]:
    """Return each series that the code exports, with its labels."""
    return {name: labels for series in _families().values() for name, labels in series.items()}


def families() -> dict[str, frozenset[str]]:
    """Return each metric that the code declares, with the names of its series."""
    return {name: frozenset(series) for name, series in _families().items()}


def _families() -> dict[str, dict[str, frozenset[str]]]:
    declared = [one for one in vars(Metrics()).values() if isinstance(one, MetricWrapperBase)]
    return {one._name: dict(_series(one)) for one in declared}  # noqa: SLF001 - there is no public way


def _series(metric: MetricWrapperBase) -> Iterator[tuple[str, frozenset[str]]]:
    for suffix in _SUFFIXES[str(metric._type)]:  # noqa: SLF001 - there is no public way
        more = {"le"} if suffix == "_bucket" else set()
        yield metric._name + suffix, frozenset({*metric._labelnames, *more})  # noqa: SLF001 - as above


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, read as far as names go."""

    text: str

    @property
    def series(self) -> frozenset[str]:
        """The metrics of this service that it names."""
        return frozenset(re.findall(r"\botp_\w+", self.text))

    @property
    def selected(self) -> Iterator[tuple[str, frozenset[str]]]:
        """Each selector: a metric, and the labels that it filters by."""
        for name, filters in re.findall(r"\b(\w+)\{([^}]*)\}", self.text):
            yield name, frozenset(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', filters)))

    @property
    def grouped(self) -> frozenset[str]:
        """The labels that it groups or matches by."""
        lists = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", self.text)
        return frozenset(label.strip() for one in lists for label in one.split(","))

    def unknown(self) -> list[str]:
        """List the metrics and labels of this service that the code does not export."""
        known = exported()
        missing = sorted(self.series - set(known))
        missing += [
            f"{name}{{{label}}}"
            for name, labels in self.selected
            if name in known
            for label in sorted(labels - known[name] - OF_THE_SCRAPE)
        ]
        possible = OF_THE_SCRAPE.union(*(known.get(name, frozenset()) for name in self.series))
        return missing + sorted(self.grouped - possible)


def alerts() -> dict[str, dict[str, Any]]:
    """Return each alert rule by its name."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}
