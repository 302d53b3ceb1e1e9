"""Balances of upstream accounts are read and exported, and a low balance causes a warning."""

import logging
import time
from collections.abc import Iterator, Sequence

import pytest

from otp_service.bootstrap.stores import Stores
from otp_service.delivery.balances import EVERY, Balances
from otp_service.delivery.low_balances import LowBalances
from otp_service.policy import Policy, Route, StepRule, Upstream
from otp_service.policy.active import ActivePolicy
from otp_service.telemetry.logs import LOG
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.channels import SmsSettings, VoiceSettings
from otp_service.upstream.port import Balance, Lookup, Receipt, UpstreamError
from tests.support.spine import open_store
from tests.support.valkey_server import ValkeyServer

Logged = list[tuple[str, dict[str, object]]]


class AccountDouble:
    """An account with the balance that a test sets."""

    def __init__(self, *rows: Balance) -> None:
        self.rows = list(rows)
        self.reason = ""
        self.times = 0

    def balance(self) -> list[Balance]:
        """Give the balance."""
        self.times += 1
        if self.reason:
            raise UpstreamError("main", self.reason)
        return self.rows

    def lookup(self, to: str) -> Lookup:
        """Fail: no test calls it."""
        raise NotImplementedError

    def reports(self, channel: str, upstream_ids: Sequence[str]) -> list[Receipt]:
        """Fail: no test calls it."""
        raise NotImplementedError


def row(service: str, credits_left: float, *, postpaid: bool = False, channel: str | None = None) -> Balance:
    """Make the balance of a service code."""
    return Balance(service=service, name=service, credits=credits_left, postpaid=postpaid, channel=channel)


class Records(logging.Handler):
    """Keeps the records of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: Logged = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self.logged.append((record.getMessage(), record.__dict__["fields"]))


@pytest.fixture
def logged() -> Iterator[Logged]:
    """Give the records of the log."""
    records = Records()
    LOG.addHandler(records)
    yield records.logged
    LOG.removeHandler(records)


def watch(
    store: Stores,
    metrics: Metrics | None = None,
    *,
    low_balance: float | None = None,
    channels: Sequence[str] = ("sms", "voice"),
    **accounts: AccountDouble,
) -> tuple[Balances, Metrics]:
    """Give the balances of these accounts in one process, and its metrics."""
    metrics = metrics or Metrics()
    upstreams = {
        name: Upstream(
            name=name,
            kind="mobtexting",
            base_url="https://portal.example.com/api/v2/",
            token_env="OTP_UPSTREAM_MAIN_TOKEN",
            low_balance=low_balance,
            sms=SmsSettings(service="T", sender="ACMEIN"),
            voice=VoiceSettings(bridge="918045000001"),
        )
        for name in accounts
    }
    steps = tuple(StepRule(channel=channel, upstreams=tuple(accounts)) for channel in channels)
    policy = Policy(apps={}, upstreams=upstreams, routes=(Route(steps=steps),))
    active = ActivePolicy(version=1, policy=policy, senders={}, accounts=accounts)
    return Balances(
        active=lambda: active, facts=store.facts, budget=store.get_budget, metrics=metrics
    ), metrics


def figure(metrics: Metrics, upstream: str, service: str) -> float | None:
    """Read an exported balance."""
    return metrics.registry.get_sample_value(
        "otp_upstream_balance", {"upstream": upstream, "service": service}
    )


def test_balances_are_exported_by_account_and_service(store: Stores) -> None:
    """Each account of the policy is read; each of its rows is exported."""
    main, spare = AccountDouble(row("T", 120.5), row("P", 0)), AccountDouble(row("T", 7))
    balances, metrics = watch(store, main=main, spare=spare)
    balances.read_due()
    assert figure(metrics, "main", "T") == 120.5
    assert figure(metrics, "main", "P") == 0
    assert figure(metrics, "spare", "T") == 7


def test_many_processes_ask_and_warn_once(store: Stores, logged: Logged) -> None:
    """Of several processes one reads and warns: about low prepaid services, not about postpaid ones."""
    main = AccountDouble(row("T", 99.9), row("P", 100), row("V", -5, postpaid=True))
    for _ in range(3):  # all of them within seconds: soon, a balance is to be read again
        balances, _ = watch(store, low_balance=100, main=main)
        balances.read_due()
        balances.read_due()
    assert main.times == 1
    assert logged == [("balance.low", {"upstream": "main", "service": "T", "credits": 99.9})]
    policy = watch(store, low_balance=100, main=main)[0]._active().policy  # noqa: SLF001 - of these accounts
    low = LowBalances(store.facts).read(policy)
    assert [(one.account, one.service, one.credits, one.limit) for one in low] == [("main", "T", 99.9, 100)]
    assert EVERY <= 10  # a low balance is to be seen within 15 s


def test_a_low_balance_counts_only_for_services_in_use(store: Stores, logged: Logged) -> None:
    """The SMS service that the policy names, and the channels of its routes."""
    rows = [
        row("T", 1, channel="sms"),
        row("P", 2, channel="sms"),
        row("VOC", 3, channel="voice"),
        row("WAP", 4, channel="whatsapp"),
        row("VBR", 5, channel="viber"),
        row("SIPT", 6),
    ]
    balances, _ = watch(store, low_balance=100, main=AccountDouble(*rows))
    balances.read_due()
    assert [details["service"] for _, details in logged] == ["T", "VOC"]


@pytest.mark.parametrize(
    ("channels", "warned"),
    [
        (["sms"], ["T"]),
        (["sms", "voice"], ["T", "SIPT", "IBN"]),
        (["voice"], ["SIPT", "IBN"]),
        (["sms", "whatsapp"], ["T", "WAP"]),
        ([], []),
    ],
)
def test_an_unknown_code_of_a_white_label_may_be_that_of_a_channel_without_one(
    store: Stores, logged: Logged, channels: list[str], warned: list[str]
) -> None:
    """Calls may be paid by any code that is not known; if all channels have theirs, it is not in use."""
    rows = [row("T", 1), row("MKT", 2, channel="sms"), row("SIPT", 3), row("IBN", 4)]
    rows.append(row("WAP", 5, channel="whatsapp"))
    balances, _ = watch(store, low_balance=100, channels=channels, main=AccountDouble(*rows))
    balances.read_due()
    assert [details["service"] for _, details in logged] == warned


def test_there_is_no_warning_without_a_limit(store: Stores, logged: Logged) -> None:
    """Operators decide which balance is low."""
    balances, _ = watch(store, main=AccountDouble(row("T", 0)))
    balances.read_due()
    assert logged == []


def test_an_account_that_does_not_answer_keeps_its_last_figure(
    store: Stores, valkey: ValkeyServer, logged: Logged
) -> None:
    """The reason is logged, and the next account is still read."""
    main, spare = AccountDouble(row("T", 50)), AccountDouble(row("T", 7))
    balances, metrics = watch(store, low_balance=60, main=main)
    balances.read_due()
    main.reason = "timeout"
    with open_store(valkey) as a_minute_later:
        watch(a_minute_later, metrics, main=main, spare=spare)[0].read_due()
    assert main.times == 2
    assert figure(metrics, "main", "T") == 50
    assert figure(metrics, "spare", "T") == 7
    assert [name for name, _ in logged] == ["balance.low", "balance.unknown"]
    assert logged[1][1] == {"upstream": "main", "reason": "timeout"}


def test_which_balance_is_low_and_when_it_was_read_are_exported(store: Stores) -> None:
    """An alert needs no threshold of its own. What is not in use, or is paid later, is never low."""
    rows = [
        row("T", 99, channel="sms"),
        row("P", 0, channel="sms"),
        row("VOC", 100, channel="voice"),
        row("V", -5, channel="voice", postpaid=True),
    ]
    before = time.time()
    balances, metrics = watch(store, low_balance=100, main=AccountDouble(*rows))
    balances.read_due()
    read = metrics.registry.get_sample_value
    low = [read("otp_upstream_balance_low", {"upstream": "main", "service": one.service}) for one in rows]
    assert low == [1, 0, 0, 0]
    when = read("otp_upstream_balance_read_seconds", {"upstream": "main"})
    assert when is not None
    assert before <= when <= time.time()
