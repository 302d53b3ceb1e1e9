"""Alerts, their tests, their runbooks and the dashboard name what exists, and nothing is left without them."""

import json
import re
from typing import Any

import pytest
import yaml

from tests.house import cli_document
from tests.support.documents import PROJECT
from tests.support.prometheus import ALERT_TESTS, DASHBOARD, Query, alerts, families

RUNBOOKS = (PROJECT / "docs" / "runbooks.md").read_text(encoding="utf-8")
RULES = alerts()
BOARD: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
PANELS = {panel["title"]: panel for panel in BOARD["panels"] if panel["type"] != "row"}
QUERIES = [Query(target["expr"]) for panel in PANELS.values() for target in panel["targets"]]
OF_PROMETHEUS = {"ALERTS": {"alertname", "alertstate"}}
"""What Prometheus itself exports of alerts that fire, beside the labels of each."""


def cases() -> list[tuple[str, bool]]:
    """List for each case of the rules' tests the alert, and whether it fires."""
    tests = yaml.safe_load(ALERT_TESTS.read_text(encoding="utf-8"))["tests"]
    return [
        (wanted["alertname"], bool(wanted["exp_alerts"]))
        for one in tests
        for wanted in one["alert_rule_test"]
    ]


def test_whatever_stops_codes_or_loses_money_has_an_alert() -> None:
    """Money, people who wait, parts that stopped."""
    assert set(RULES) >= {
        *("OtpPumpingSuspected", "OtpConversionDrop", "OtpFallbackStorm", "OtpBreakerOpen", "OtpBalanceLow"),
        *("OtpDeadlineLag", "OtpHashQueue", "OtpSendsShed", "OtpStoreErrors", "OtpReceiptsStopped"),
        *("OtpEventBacklog", "OtpApiKeyEnds", "OtpNoWorker", "OtpMetricsMissing"),
    }


@pytest.mark.parametrize("name", RULES)
def test_an_alert_names_metrics_and_labels_of_the_code(name: str) -> None:
    """A renamed metric would make it silent for ever."""
    query = Query(RULES[name]["expr"])
    assert query.series
    assert query.unknown() == []


@pytest.mark.parametrize("name", RULES)
def test_the_summary_of_an_alert_uses_labels_that_it_has(name: str) -> None:
    """Prometheus writes an empty text for any other one."""
    used = set(re.findall(r"\$labels\.(\w+)", RULES[name]["annotations"]["summary"]))
    assert used <= Query(RULES[name]["expr"]).grouped


@pytest.mark.parametrize("name", RULES)
def test_an_alert_has_a_case_that_fires_and_one_that_stays_silent(name: str) -> None:
    """One of them alone shows little."""
    assert {fires for alert, fires in cases() if alert == name} == {True, False}


def test_only_alerts_that_exist_are_tested() -> None:
    """A case of a renamed alert that expects silence would pass."""
    assert {alert for alert, _ in cases()} == set(RULES)


def test_each_alert_leads_to_its_runbook_and_each_runbook_has_an_alert() -> None:
    """In the same order, so that a reader finds one from the other."""
    assert re.findall(r"^## (.+)$", RUNBOOKS, re.MULTILINE) == list(RULES)
    for name, rule in RULES.items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{name.lower()}"
        assert rule["labels"]["severity"] in {"page", "ticket"}


@pytest.mark.parametrize("name", RULES)
def test_a_runbook_says_where_to_look_and_what_to_do(name: str) -> None:
    """With metrics, panels and commands that exist."""
    text = RUNBOOKS.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert "- **Look.** " in text
    assert "- **Do.** " in text
    assert set(re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", text)) <= set(PANELS)
    assert [one for one in re.findall(r"`(otp_[^`]+)`", text) if Query(one).unknown()] == []
    known = cli_document.FILE.read_text(encoding="utf-8")
    for command in re.findall(r"`(otp-service(?: [a-z]+){1,2})", text):
        assert f"## {command}\n" in known, command


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.text[:60])
def test_the_dashboard_names_metrics_and_labels_of_the_code(query: Query) -> None:
    """A renamed one would leave a panel empty."""
    assert query.series or query.text.startswith("ALERTS")
    assert query.unknown() == []
    for name, labels in query.selected:
        assert labels <= OF_PROMETHEUS.get(name, labels)


def test_legends_use_labels_that_are_left() -> None:
    """What a query has added up has no such label any more."""
    for panel in PANELS.values():
        for target in panel["targets"]:
            query = Query(target["expr"])
            used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert used <= query.grouped or not query.series, target


def test_variables_of_the_dashboard_are_known() -> None:
    """Its own, and that of Grafana."""
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(BOARD)))
    assert used - {"__rate_interval"} == {one["name"] for one in BOARD["templating"]["list"]}
    asked = [
        re.findall(r"\w+", one["query"]) for one in BOARD["templating"]["list"] if one["type"] == "query"
    ]
    assert asked == [["label_values", "otp_challenges_total", "app"]]


def test_every_metric_of_the_code_is_shown() -> None:
    """What no panel shows is seen by no one."""
    shown = frozenset[str]().union(*(query.series for query in QUERIES))
    assert [name for name, series in families().items() if not series & shown] == []


def test_panels_lie_beside_one_another() -> None:
    """None covers another one."""
    cells = [
        (x, y)
        for panel in BOARD["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
