"""The `figures` and `advice` commands: what they print and how they end."""

import csv
import io
import json
from pathlib import Path

import pytest

from otp_service.bootstrap.core import Core
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.support.http_api import GOOD, NUMBER, Run

pytest_plugins = ["tests.support.command_fixtures"]


@pytest.fixture
def sent(product: Core, run: Run, tmp_path: Path) -> None:
    """Open one challenge."""
    policy = tmp_path / "policy.toml"
    policy.write_text(GOOD)
    assert run("policy", "apply", str(policy), "--reason", "first")[0] == 0
    caller = Caller(app=product.policy.apps["web"], active=product.active(), request_id="0" * 11)
    product.send.send(caller, SendRequest(to=NUMBER))
    product.journal.hand_over()


@pytest.mark.usefixtures("sent")
def test_figures_in_a_terminal(run: Run) -> None:
    """A table with its sum, JSON, and CSV; a question that cannot be answered names its field."""
    code, out, _ = run("figures", "--by", "country,channel")
    span, header, *rows, total = out.splitlines()
    assert (code, " to " in span) == (0, True)
    assert header.split()[:5] == ["country", "channel", "asked", "let_in", "refused"]
    assert total.split()[:4] == ["total", "1", "1", "0"]
    assert all(row.startswith("US") for row in rows)
    whole = json.loads(run("figures", "--json")[1])
    assert (whole["total"]["asked"], whole["by"]) == (1, [])
    [names, values] = csv.reader(io.StringIO(run("figures", "--by", "country", "--csv")[1]))
    assert dict(zip(names, values, strict=True))["let_in"] == "1"
    assert run("figures")[1].splitlines()[1].split()[0] == "asked"
    code, _, err = run("figures", "--from", "36d")
    assert code == 1
    assert "from" in err
    assert "must be today or one of the 34 days before (UTC)" in err


@pytest.mark.usefixtures("sent")
def test_advice_in_a_terminal(run: Run) -> None:
    """A route with one channel has no order to choose."""
    assert run("advice") == (0, "no route has several channels, so there is no order to choose\n", "")
    assert json.loads(run("advice", "--json")[1])["orders"] == []
