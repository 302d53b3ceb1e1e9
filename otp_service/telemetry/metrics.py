"""Every metric: its name, its labels, its buckets.

Knows names only. Must not know when something is counted.
"""

from collections.abc import Sequence
from functools import cache, partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All metrics of the product; summed over processes when PROMETHEUS_MULTIPROC_DIR is set."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._declare_requests(self.registry)
        self._declare_deliveries(self.registry)
        self._declare_upstreams(self.registry)
        self._declare_guard(self.registry)
        self._declare_queues(self.registry)
        self._of_script = cache(self.store_seconds.labels)
        self._declare_waits(self.registry)

    def observe_store(self, script: str, seconds: float) -> None:
        """Count one call to the store."""
        self._of_script(script).observe(seconds)

    def page(self, *, shared: bool) -> bytes:
        """Return the metrics in Prometheus' text format: of this process, or of all processes if `shared`."""
        registry = self.registry
        if shared:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _declare_requests(self, registry: CollectorRegistry) -> None:
        """Declare what the API answers and checks."""
        self.requests = Counter(
            "otp_http_requests", "HTTP requests answered", ["route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "otp_http_request_seconds", "Time to answer", ["route"], buckets=_SLOW, registry=registry
        )
        self.key_ends = _newest(
            registry,
            "otp_api_key_ends_seconds",
            "Seconds until the next issued API key without a successor expires; +Inf if none will",
            ["kind"],
        )
        self.challenges = Counter(
            "otp_challenges", "Challenges opened, and how they ended", ["app", "result"], registry=registry
        )
        self.checks = Counter("otp_checks", "Checks by result", ["app", "result"], registry=registry)
        self.hash_seconds = Histogram(
            "otp_hash_seconds", "Time of one Argon2 run", buckets=_FAST, registry=registry
        )
        self.hash_waiting = _summed(registry, "otp_hash_waiting", "Callers that wait for a free hashing slot")

    def _declare_deliveries(self, registry: CollectorRegistry) -> None:
        """Declare what happens to codes on their way."""
        counter = partial(Counter, registry=registry)
        self.deliveries = counter(
            "otp_deliveries", "Sends by outcome", ["channel", "upstream", "verdict", "reason"]
        )
        self.verified = counter(
            "otp_verified_codes",
            "Codes that were verified, by the channel and upstream that delivered them",
            ["channel", "upstream"],
        )
        self.verify_seconds = Histogram(
            "otp_verify_seconds",
            "Time from sending a code to its verification",
            ["channel"],
            buckets=(2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 300, 600),
            registry=registry,
        )
        self.skips = counter("otp_skipped_steps", "Steps that were skipped, by reason", ["channel", "why"])
        self.receipts = counter(
            "otp_receipts", "Delivery reports by stage and effect", ["channel", "upstream", "stage", "result"]
        )
        self.fallbacks = counter(
            "otp_fallbacks",
            "Steps that were given up for the next one, by the channel of each",
            ["channel", "next"],
        )
        self.inbound = counter(
            "otp_inbound", "Messages from people by what they ask for", ["channel", "word"]
        )

    def _declare_upstreams(self, registry: CollectorRegistry) -> None:
        """Declare how upstream accounts work and what they cost."""
        self.upstream_seconds = Histogram(
            "otp_upstream_seconds", "Time an upstream took", ["upstream"], buckets=_SLOW, registry=registry
        )
        self.breaker_openings = Counter(
            "otp_breaker_openings",
            "Breakers that opened",
            ["upstream", "channel", "reason"],
            registry=registry,
        )
        self.breaker_open_until = Gauge(
            "otp_breaker_open_until_seconds",
            "Until when a breaker that this process opened stays open, in seconds since 1970; 0 if it was closed",
            ["upstream", "channel"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.charges = Counter(
            "otp_upstream_charges",
            "What upstreams charged, in their own unit",
            ["channel", "upstream"],
            registry=registry,
        )
        self.balance = _newest(
            registry,
            "otp_upstream_balance",
            "Credit left at an upstream, in its own unit",
            ["upstream", "service"],
        )
        self.balance_low = _newest(
            registry,
            "otp_upstream_balance_low",
            "1 if a service in use has less credit than low_balance of the policy",
            ["upstream", "service"],
        )
        self.balance_read = _newest(
            registry,
            "otp_upstream_balance_read_seconds",
            "When this process last read a balance, in seconds since 1970",
            ["upstream"],
        )

    def _declare_guard(self, registry: CollectorRegistry) -> None:
        """Declare what the guard finds and refuses."""
        self.refusals = Counter(
            "otp_guard_refusals", "Sends that the guard refused", ["rule"], registry=registry
        )
        self.guard = Counter(
            "otp_guard_findings",
            "Guard limits that were exceeded, also by sends that were allowed",
            ["rule", "level", "mode"],
            registry=registry,
        )
        self.decision_seconds = Histogram(
            "otp_decision_seconds",
            "Time until an app's endpoint decided about a send, by its answer; failed: none in time",
            ["app", "answer"],
            buckets=_FAST,
            registry=registry,
        )

    def _declare_queues(self, registry: CollectorRegistry) -> None:
        """Declare how the store and the workers keep up."""
        self.events = Counter("otp_events", "Events for apps by result", ["app", "result"], registry=registry)
        self.queued = _newest(
            registry,
            "otp_queued",
            "Open challenges (queue due) and events that their app has not accepted (queue evt), as the API sees it",
            ["queue"],
        )
        self.deadline_lag = Histogram(
            "otp_deadline_lag_seconds",
            "How late due work was claimed",
            ["queue"],
            buckets=_SLOW,
            registry=registry,
        )
        self.oldest_overdue = _newest(
            registry,
            "otp_oldest_overdue_seconds",
            "For how long the oldest due work has waited for a worker, as the API sees it",
            ["queue"],
        )
        self.workers = _newest(
            registry, "otp_workers", "Workers that are alive, as the API sees it", ["queue"]
        )
        self.store_seconds = Histogram(
            "otp_store_call_seconds",
            "Time of one call to the store",
            ["script"],
            buckets=_FAST,
            registry=registry,
        )
        self.store_evicts = Gauge(
            "otp_store_evicts_keys",
            "1 if a server of the store may delete keys before their time",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.in_flight = _summed(registry, "otp_in_flight", "Work that workers are doing now", ["queue"])

        about = "Notes of what happened that were dropped before they were written"
        self.notes_dropped = Counter("otp_notes_dropped", about, registry=registry)

    def _declare_waits(self, registry: CollectorRegistry) -> None:
        """Declare how long sends wait, and which are refused because of it."""
        self.shed = Counter(
            "otp_sends_shed",
            "Sends and resends that were refused because they would have waited too long",
            ["act"],
            registry=registry,
        )
        self.send_wait = _newest(
            registry,
            "otp_send_wait_seconds",
            "Estimate of how long a new send would wait for a worker, as the API sees it",
        )


def _newest(registry: CollectorRegistry, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
    """Declare what all processes of the API see alike: the value that was set last counts."""
    return Gauge(name, text, labels, registry=registry, multiprocess_mode="livemostrecent")


def _summed(registry: CollectorRegistry, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
    """Declare what each process has a part of."""
    return Gauge(name, text, labels, registry=registry, multiprocess_mode="livesum")
