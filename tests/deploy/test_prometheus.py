"""The alerts in Prometheus' own tools."""

import subprocess

import pytest

from tests.support.prometheus import ALERT_TESTS, ALERTS, alerts

pytestmark = pytest.mark.needs_prometheus
TOOL = "/usr/bin/promtool"


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return subprocess.run([TOOL, *words], capture_output=True, text=True, check=False)


def test_the_rules_are_well_formed() -> None:
    """As Prometheus reads them."""
    done = promtool("check", "rules", str(ALERTS))
    assert done.returncode == 0, done.stderr
    assert f"{len(alerts())} rules found" in done.stdout


def test_each_alert_fires_and_stays_silent_as_its_cases_say() -> None:
    """With its labels and what it tells people."""
    done = promtool("test", "rules", str(ALERT_TESTS))
    assert done.returncode == 0, done.stdout + done.stderr
