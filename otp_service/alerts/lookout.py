"""Looks where something needs a person.

Knows where each state is read, and from when on it needs someone. Must not know who is told.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from otp_service.alerts.alert import Alert
from otp_service.alerts.conversion import LEAST, Row, list_falls
from otp_service.alerts.words import channel_name, duration, share
from otp_service.delivery.low_balances import LowBalances
from otp_service.delivery.membership import Membership
from otp_service.figures.silence import Silences
from otp_service.ops.blocks import Blocks
from otp_service.ops.figures import FiguresReader
from otp_service.ops.scope import EVERYTHING, Scope
from otp_service.policy import Policy
from otp_service.policy.active import ActivePolicy
from otp_service.store.due import DueQueue
from otp_service.upstream.breakers import Breakers

LATE = 5_000
"""Milliseconds after which a delivery that is due is late."""
SLOW = 2.0
"""Seconds that a new send waits for the workers' hashes before it is said."""
SILENT = 10_000
"""Milliseconds without any report, while messages leave, after which reports have stopped."""
LONGEST = 3600.0
"""The longest wait that is said, in seconds: nothing leaves, and there is no telling."""


class Lookout:
    """Finds what needs a person. Its methods raise StoreUnavailable."""

    def __init__(
        self,
        *,
        figures: FiguresReader,
        silences: Silences,
        balances: LowBalances,
        blocks: Blocks,
        breakers: Breakers,
        queue: DueQueue,
        membership: Membership,
        wait: Callable[[], float],
        clock: Callable[[], int],
    ) -> None:
        """`wait` estimates how long a new send waits (seconds), `clock` gives the store's time in milliseconds."""
        self._figures = figures
        self._silences = silences
        self._balances = balances
        self._blocks = blocks
        self._breakers = breakers
        self._queue = queue
        self._membership = membership
        self._wait = wait
        self._clock = clock

    def read_hours(self, scope: Scope = EVERYTHING) -> list[dict[str, Any]]:
        """Read the figures of two days by hour, channel and country."""
        rows: list[dict[str, Any]] = self._figures.read(from_="47h", by="time,channel,country", scope=scope)[
            "rows"
        ]
        return rows

    def list_alerts(
        self, active: ActivePolicy, hours: Iterable[Row] | None = None, *, scope: Scope = EVERYTHING
    ) -> list[Alert]:
        """List what needs a person, critical first. `hours` are figures that were read already.

        Within a scope of some apps, that is what the figures and blocks of these say.
        """
        now, found = self._clock(), list[Alert]()
        if not scope.is_limited:
            found += self._workers()
            found += self._breaker_states(active)
            found += self._silent(now)
            found += self._late(now)
            found += self._low(active.policy)
        found += _falls(self.read_hours(scope) if hours is None else hours, now)
        found += self._blocked(active.policy, scope)
        return sorted(found, key=lambda alert: alert.severity)

    def _workers(self) -> Iterator[Alert]:
        if not self._membership.read()[1]:
            yield Alert("workers_gone", "", "critical", "No worker is alive: no code is sent.", "find")

    def _breaker_states(self, active: ActivePolicy) -> Iterator[Alert]:
        for account, states in self._breakers.states(active.channels_of_accounts()).items():
            for channel, state in states.items():
                if state != "closed":
                    what = "the whole account" if channel == "*" else channel_name(channel)
                    text = f"{account}, {what}: {state}. Other accounts and steps are used meanwhile."
                    yield Alert("breaker_open", f"{account}/{channel}", "critical", text, "upstreams")

    def _silent(self, now: int) -> Iterator[Alert]:
        for one in self._silences.read():
            if one.messages >= LEAST and now - one.since >= SILENT:
                ago = duration((now - one.since) / 1000)
                text = (
                    f"{one.account}, {channel_name(one.channel)}: no report for {ago}, "
                    f"while {one.messages} messages left."
                )
                yield Alert("reports_stopped", f"{one.account}/{one.channel}", "critical", text, "upstreams")

    def _late(self, now: int) -> Iterator[Alert]:
        overdue = self._queue.overdue(now)
        if overdue > LATE:
            size = self._queue.size()
            open_ = "1 challenge is open" if size == 1 else f"{size} challenges are open"
            text = f"The oldest delivery is {duration(overdue / 1000)} late; {open_}."
            yield Alert("deliveries_late", "", "critical", text, "find")
        wait = self._wait()
        if wait > SLOW:
            lasts = duration(min(wait, LONGEST))
            text = f"A new send waits about {lasts} for the workers, who hash as fast as they can."
            yield Alert("hashing_queue", "", "critical", text, "find")

    def _low(self, policy: Policy) -> Iterator[Alert]:
        for one in self._balances.read(policy):
            text = f"{one.account}, {one.service}: {one.credits:,.0f} left; low is below {one.limit:,.0f}."
            yield Alert("balance_low", f"{one.account}/{one.service}", "critical", text, "upstreams")

    def _blocked(self, policy: Policy, scope: Scope) -> Iterator[Alert]:
        count, refused = Counter[str](), Counter[str]()
        for block in self._blocks.read_all(policy, scope=scope):
            if block["active"] and block["on"]:
                count[block["rule"]] += 1
                refused[block["rule"]] += block["refused"]
        for rule, sends in refused.most_common():
            subjects = "1 subject is" if count[rule] == 1 else f"{count[rule]} subjects are"
            text = f"{subjects} blocked by this rule; {sends} sends were refused."
            yield Alert("refused_by", rule, "warning", text, "blocks")


def _falls(rows: Iterable[Row], now: int) -> Iterator[Alert]:
    for fall in list_falls(rows, now):
        text = (
            f"{channel_name(fall.channel)} to {fall.country}: {share(fall.now)} verified, same hour yesterday "
            f"{share(fall.before)} ({fall.sent} sent)"
        )
        yield Alert("conversion_fell", f"{fall.channel}/{fall.country}", "critical", text, "find")
