"""Fallback: how soon the next channel is asked after a report says that a message failed, under load."""

from collections.abc import Iterator
from dataclasses import replace

from tests.bench.drawing import Curve, draw
from tests.bench.figures import Figure
from tests.bench.load import Target, run
from tests.bench.services import FALLING_BACK, WEBHOOK, product
from tests.prove.evidence import Claim

SHARE, CURVE = 0.7, (0.3, 0.5, 0.7, 0.9)
EVERY = 5
"""Of so many first messages one fails."""
WITHIN_MS = 1000
CONNECTIONS = 32
CLAIM = Claim(
    "fallback",
    "The next channel is asked at once",
    "from a failed report to the next channel's request at 70 % load: median {} ms, p95 {} ms",
    ("from report to next channel, p50", "from report to next channel, p95"),
)


def falling_back(seconds: float, picture: str, shares: tuple[float, ...] = CURVE) -> Iterator[Figure]:
    """Find the peak with a fifth of all messages failing, then time fallbacks at shares of it."""
    with product("fast", steps=FALLING_BACK) as started:
        target = failing(started)
        peak = run(target, connections=CONNECTIONS, seconds=seconds).per_second
        yield Figure("peak with fallbacks", peak, "pairs/s", f"{CONNECTIONS} connections, profile fast")
        seen = {share: run(target, rate=peak * share, seconds=seconds).ms["fell_back"] for share in shares}
    how = f"open loop at {SHARE:.0%} of the peak"
    for quantile, most in (("p50", None), ("p95", WITHIN_MS), ("p99", None)):
        yield Figure(f"from report to next channel, {quantile}", seen[SHARE][quantile], "ms", how, most=most)
    draw(
        picture,
        title="From a failed report to the next channel's request",
        across="pairs a second, of which a fifth falls back",
        up="milliseconds",
        curves=[
            Curve(name, [(peak * share, found[name]) for share, found in seen.items()])
            for name in ("p50", "p95", "p99")
        ],
    )


def failing(target: Target) -> Target:
    """Let the upstream report failures to the product."""
    how = {
        "every": EVERY,
        "port": target.port,
        "path": "/webhooks/mobtexting/standin",
        "report": '{"id": "{id}", "status": "UNDELIV"}',
        "headers": {"Content-Type": "application/json", "Authorization": f"Bearer {WEBHOOK}"},
    }
    return replace(target, failing=how)
