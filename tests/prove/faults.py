"""Faults: half an hour in which everything breaks while people sign in, and nothing that must hold is violated."""

from collections.abc import Iterator

from tests.bench.drawing import draw_bars
from tests.bench.figures import Figure
from tests.prove.evidence import Claim
from tests.soak.__main__ import soak

SEED = 17
CLAIM = Claim(
    "faults",
    "Faults break no promise",
    "{} minutes with {} faults, {} sign-ins: {} violations",
    ("minutes", "faults, in all", "sign-ins", "violations"),
)


def failing(minutes: float, picture: str, seed: int = SEED) -> Iterator[Figure]:
    """Soak the product, and draw how often each fault came."""
    verdict, happened = soak(minutes * 60, seed)
    yield Figure("minutes", minutes, "minutes", f"seed {seed}")
    yield Figure("sign-ins", happened["journeys"], "journeys", f"{happened['verified']} verified")
    yield Figure("faults, in all", sum(happened["faults"].values()), "faults")
    for name, count in sorted(happened["faults"].items()):
        yield Figure(f"  {name}", count, "times")
    for invariant, count in verdict.looked.items():
        excused = verdict.excused[invariant]
        yield Figure(f"  {invariant}", count, "looks", f"{excused} excused by a promotion" if excused else "")
    yield Figure("promotions", happened["promotions"], "times", "of the store's replica, by the Sentinel")
    yield Figure(
        "damaged files of the store", happened["files_of_the_store_damaged"], "times", "after a full disk"
    )
    yield Figure("longest answer", happened["longest_answer_seconds"], "s")
    yield Figure("violations", len(verdict.violations), "", "; ".join(verdict.violations[:3]), most=0)
    rows = [(name, [float(count)]) for name, count in sorted(happened["faults"].items())]
    draw_bars(picture, title="Faults that broke no promise", series=("times",), rows=rows)
