"""Every metric's name in one place.

Must not know what happens in the product.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All metrics of the product; summed over processes when PROMETHEUS_MULTIPROC_DIR is set."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "otp_http_requests", "HTTP requests answered", ["route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "otp_http_request_seconds", "Time to answer", ["route"], buckets=_SLOW, registry=registry
        )
        self.challenges = Counter(
            "otp_challenges", "Challenges by how they ended, or opened", ["app", "result"], registry=registry
        )
        self.deliveries = Counter(
            "otp_deliveries",
            "Sends by how they ended",
            ["channel", "upstream", "verdict", "reason"],
            registry=registry,
        )
        self.upstream_seconds = Histogram(
            "otp_upstream_seconds", "Time an upstream took", ["upstream"], buckets=_SLOW, registry=registry
        )
        self.checks = Counter("otp_checks", "Guesses by result", ["app", "result"], registry=registry)
        self.verified = Counter(
            "otp_verified_codes",
            "Codes that came back, by the channel and upstream that brought them",
            ["channel", "upstream"],
            registry=registry,
        )
        self.verify_seconds = Histogram(
            "otp_verify_seconds",
            "Time from a code's leaving to its coming back",
            ["channel"],
            buckets=(2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 300, 600),
            registry=registry,
        )
        self.skips = Counter(
            "otp_skipped_steps", "Steps that were not taken, by why", ["channel", "why"], registry=registry
        )
        self.receipts = Counter(
            "otp_receipts",
            "Receipts by what they say and what they changed",
            ["channel", "upstream", "stage", "result"],
            registry=registry,
        )
        self.inbound = Counter(
            "otp_inbound", "Messages from persons by what they ask", ["channel", "word"], registry=registry
        )
        self.breaker_openings = Counter(
            "otp_breaker_openings",
            "Breakers that opened",
            ["upstream", "channel", "reason"],
            registry=registry,
        )
        self.charges = Counter(
            "otp_upstream_charges",
            "What upstreams charged, in their own unit",
            ["channel", "upstream"],
            registry=registry,
        )
        self.balance = Gauge(
            "otp_upstream_balance",
            "What is left at an upstream, in its own unit",
            ["upstream", "service"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.events = Counter("otp_events", "Events for apps by result", ["app", "result"], registry=registry)
        self.refusals = Counter(
            "otp_guard_refusals", "Sends that the guard refused", ["rule"], registry=registry
        )
        self.guard = Counter(
            "otp_guard_findings",
            "Limits of the guard that were passed, also by sends that were let in",
            ["rule", "level", "mode"],
            registry=registry,
        )
        self.hash_seconds = Histogram(
            "otp_hash_seconds", "Time of one Argon2 run", buckets=_FAST, registry=registry
        )
        self.hash_waiting = Gauge(
            "otp_hash_waiting",
            "Callers that wait for a place to hash",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.deadline_lag = Histogram(
            "otp_deadline_lag_seconds",
            "How late what was due was claimed",
            ["queue"],
            buckets=_SLOW,
            registry=registry,
        )
        self.store_seconds = Histogram(
            "otp_store_call_seconds",
            "Time of one call of the store",
            ["script"],
            buckets=_FAST,
            registry=registry,
        )
        self.in_flight = Gauge(
            "otp_in_flight",
            "What workers are busy with",
            ["queue"],
            registry=registry,
            multiprocess_mode="livesum",
        )

    def observe_store(self, script: str, seconds: float) -> None:
        """Count one call of the store."""
        self.store_seconds.labels(script).observe(seconds)

    def page(self, *, shared: bool) -> bytes:
        """Write the metrics of this process, or `shared` ones of all, in Prometheus' text format."""
        registry = self.registry
        if shared:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
