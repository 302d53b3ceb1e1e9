"""Load: how soon codes reach the upstream, and how many a second, beside a peer and at shares of the peak."""

from collections.abc import Iterator

from tests.bench import throughput
from tests.bench.figures import Figure
from tests.prove.evidence import Claim

CLAIM = Claim(
    "load",
    "Codes leave at once",
    "95 % of codes are at the upstream within {} ms of the answer at 70 % load; {} pairs of a send and a check "
    "a second on two cores",
    ("202 to upstream p95, fast", "fast, 32 connections"),
)


def loading(seconds: float, picture: str, *, whole: bool) -> Iterator[Figure]:
    """Measure the profile `fast`; with `whole` also `owasp` and the peer, where Node can install it."""
    found: dict[str, float] = {}
    profiles = ("fast", "owasp") if whole else ("fast",)
    loads = throughput.CONNECTIONS if whole else throughput.CONNECTIONS[1:2]
    for profile in profiles:
        for figure in throughput.pairs(profile, seconds, loads):
            found[figure.name] = figure.value
            yield figure
    if whole:
        for figure in throughput.peers(seconds):
            found[figure.name] = figure.value
            yield figure
        yield from throughput.against_peers(found)
    yield from throughput.curve("fast", seconds, picture, throughput.CURVE if whole else throughput.CURVE[:1])
